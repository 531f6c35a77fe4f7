"""What a run says of its frames: counted, turned into alerts, written to the sinks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal

from edgerd.errors import CameraError, DeviceLostError, EdgerdError, StorageError
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, Event, FrameVerdict, SourceState, uuid7
from edgerd.line.decision import AlertState, Policy
from edgerd.line.statistics import RunStatistics
from edgerd.sinks.protocol import Sink
from edgerd.types import Frame, Inspection, Verdict


class RunLog:
    """The frames of one run, in the order in which they came.

    Events are what the run is for: where a sink does not take one, the run ends. The verdict log only observes: what it
    does not take is dropped and counted, an event says so, and the run goes on.

    Args:
        camera: URI.
        bundle: Id.
        device: Name of the device that judges.
        threshold: NG is a score above it.
        policy: Turns verdicts into alerts.
        event_sinks: Get the alerts, and what happened to camera, device and disk.
        verdict_sinks: Get a line per frame.

    Attributes:
        statistics: Of all that was recorded.
    """

    def __init__(
        self,
        *,
        camera: str,
        bundle: str,
        device: str,
        threshold: float,
        policy: Policy,
        event_sinks: Iterable[Sink],
        verdict_sinks: Iterable[Sink],
    ) -> None:
        self.statistics = RunStatistics()
        self._camera = camera
        self._bundle = bundle
        self._device = device
        self._threshold = threshold
        self._policy = policy
        self._event_sinks = tuple(event_sinks)
        self._verdict_logs = [_VerdictLog(sink) for sink in verdict_sinks]
        self._alert_id = ""
        self._last_captured_at: float | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the verdict logs could not take, a sentence each."""
        return tuple(log.loss for log in self._verdict_logs if log.n_dropped)

    def add(self, frame: Frame, inspection: Inspection, engine_ms: float | None = None) -> Alert | None:
        """Take the next frame: its alert is sent first, then its line.

        Args:
            frame: From the camera.
            inspection: What was found in it.
            engine_ms: Where that is to be counted.

        Returns:
            What it raised or cleared.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        decided_at = time.time()
        self._last_captured_at = frame.captured_at
        capture_to_verdict_ms = (time.monotonic() - frame.captured_monotonic_s) * 1000
        self.statistics.count(inspection, capture_to_verdict_ms, engine_ms)
        alert = self._alert(frame, inspection, decided_at)
        try:
            if alert:
                self._send(alert)
        finally:  # a frame whose alert could not be written still has its line
            self._log(
                FrameVerdict(
                    inspection,
                    camera=self._camera,
                    frame=frame.number,
                    source=frame.source,
                    captured_at=frame.captured_at,
                    decided_at=decided_at,
                    bundle=self._bundle,
                )
            )
        return alert

    def camera_lost(self, error: CameraError) -> None:
        """A lost camera is neither good nor bad: an event says so, and a line.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        try:
            self.camera_event("lost", error)
        finally:
            self._log(
                FrameVerdict(
                    self.no_decision(f"camera lost: {error.what}"),
                    camera=self._camera,
                    frame=None,
                    source=self._camera,
                    captured_at=None,
                    decided_at=time.time(),
                    bundle=self._bundle,
                )
            )

    def camera_event(self, state: SourceState, error: EdgerdError) -> None:
        """Say what happened to the camera.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._send(
            CameraEvent(
                id=uuid7(),
                state=state,
                camera=self._camera,
                reason=error.what,
                decided_at=time.time(),
                bundle=self._bundle,
                captured_at=self._last_captured_at,
            )
        )

    def device_failed(self, error: EdgerdError, undecided: Frame | None) -> None:
        """Say that the device no longer judges.

        Args:
            error: What it did.
            undecided: The first frame that gets no decision because of it, where there is one.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._send(
            DeviceEvent(
                id=uuid7(),
                state="lost" if isinstance(error, DeviceLostError) else "error",
                camera=self._camera,
                device=self._device,
                reason=error.what,
                decided_at=time.time(),
                bundle=self._bundle,
                frame=undecided.number if undecided else None,
                captured_at=undecided.captured_at if undecided else None,
            )
        )

    def no_decision(self, reason: str) -> Inspection:
        """For a frame that never got to the engine, or got lost there."""
        return Inspection(Verdict.NO_DECISION, score=None, threshold=self._threshold, reason=reason)

    def _alert(self, frame: Frame, inspection: Inspection, decided_at: float) -> Alert | None:
        state = self._policy.update(inspection, frame.captured_monotonic_s)
        self.statistics.held_back = self._policy.held_back
        if state is None or inspection.score is None:
            return None
        if state is AlertState.RAISED:
            self._alert_id = uuid7()
            self.statistics.alerts += 1
        return Alert(
            id=self._alert_id,
            state=state.value,
            camera=self._camera,
            frame=frame.number,
            source=frame.source,
            captured_at=frame.captured_at,
            decided_at=decided_at,
            score=inspection.score,
            threshold=inspection.threshold,
            regions=inspection.regions,
            bundle=self._bundle,
        )

    def _send(self, event: Event) -> None:
        for sink in self._event_sinks:
            sink.send(event)

    def _log(self, line: FrameVerdict) -> None:
        for log in self._verdict_logs:
            change = log.take(line)
            if change is None:
                continue
            state, reason = change
            self._send(DiskEvent(uuid7(), state, self._camera, reason, time.time(), self._bundle))


class _VerdictLog:
    """A sink for verdict lines that may fail: what it does not take is dropped and counted, and tried again each time.

    Attributes:
        n_dropped: Lines that it did not take.
    """

    def __init__(self, sink: Sink) -> None:
        self.n_dropped = 0
        self._sink = sink
        self._reason = ""
        self._fails = False

    @property
    def loss(self) -> str:
        """What was lost and why, one sentence."""
        lines = "1 line" if self.n_dropped == 1 else f"{self.n_dropped} lines"
        return f"{lines} for the verdict log {self._sink.name} were dropped. {self._reason}"

    def take(self, line: FrameVerdict) -> tuple[Literal["error", "back"], str] | None:
        """Write a line; gives what has changed where writing begins or ceases to fail, and a sentence about it."""
        try:
            self._sink.send(line)
        except StorageError as error:
            self.n_dropped += 1
            self._reason = error.what
            was_failing, self._fails = self._fails, True
            return None if was_failing else ("error", f"The verdict log drops lines. {error.what}")
        was_failing, self._fails = self._fails, False
        return ("back", f"The verdict log is written again. So far {self.loss}") if was_failing else None
