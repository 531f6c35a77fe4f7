"""What a line says of its frames: counted, turned into alerts, sent to the sinks and to those who watch."""

from __future__ import annotations

import time
from collections.abc import Iterable

from edgerd.errors import CameraError, DeviceLostError, EdgerdError
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, Event, FrameVerdict, SourceState, uuid7
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import AlertState, Policy
from edgerd.line.observer import Observer
from edgerd.line.statistics import RunStatistics
from edgerd.sinks.protocol import Sink
from edgerd.types import Frame, Inspection

_LINES_THAT_WAIT = 1000


class Outlets:
    """Where the cameras of a line send what they have to say.

    Events are what a run is for: where a sink does not take one, the run ends. Verdict logs only observe: what one does
    not take is dropped and counted, and an event says so.

    Args:
        event_sinks: Get the alerts, and what happened to cameras, device and disk; stay open.
        verdict_sinks: Get a line per frame, each from a thread of its own; stay open.
    """

    def __init__(self, event_sinks: Iterable[Sink] = (), verdict_sinks: Iterable[Sink] = ()) -> None:
        self._event_sinks = tuple(event_sinks)
        self._logs = [
            Observer(f"verdict log {sink.name}", sink.send, noun="line", capacity=_LINES_THAT_WAIT)
            for sink in verdict_sinks
        ]

    @property
    def losses(self) -> tuple[str, ...]:
        """What the verdict logs did not take, a sentence each."""
        return tuple(log.loss for log in self._logs if log.loss)

    def send(self, event: Event) -> None:
        """Send an event; returns when it is safe with every sink.

        Raises:
            StorageError: The disk of a sink is full.
        """
        for sink in self._event_sinks:
            sink.send(event)

    def log(self, line: FrameVerdict, *, may_wait: bool) -> None:
        """Hand a line to the verdict logs, and say in an event where one has begun to fail, or ceased to.

        Args:
            line: What was found in a frame.
            may_wait: Wait for a log that is slow, because the frames wait too; else it loses the line.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        for log in self._logs:
            log.put(line, may_wait=may_wait)
        self._tell_changes(line.camera, line.bundle)

    def close(self, camera: str, bundle: str) -> None:
        """Let the verdict logs take what waits.

        Args:
            camera: Name of the camera that stands in an event about a log that fails at the end.
            bundle: Id of the bundle that stands there.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        for log in self._logs:
            log.close()
        self._tell_changes(camera, bundle)

    def _tell_changes(self, camera: str, bundle: str) -> None:
        for log in self._logs:
            for state, reason in log.changes():
                self.send(DiskEvent(uuid7(), state, camera, reason, time.time(), bundle))


class CameraLog:
    """The frames of one camera, in the order in which they came.

    Args:
        name: The camera's.
        live: Whether its frames come whether they are wanted or not.
        inspector: What judges them.
        policy: Turns verdicts into alerts.
        outlets: Where all goes.

    Attributes:
        statistics: The counts so far.
    """

    def __init__(self, name: str, live: bool, inspector: Inspector, policy: Policy, outlets: Outlets) -> None:
        self.statistics = RunStatistics()
        self._name = name
        self._live = live
        self._inspector = inspector
        self._policy = policy
        self._outlets = outlets
        self._last_captured_at: float | None = None

    def add(self, frame: Frame, inspection: Inspection) -> Alert | None:
        """Take the next frame: its alert is sent first, then its line.

        Args:
            frame: From the camera.
            inspection: What was found in it.

        Returns:
            The alert that it raised or cleared.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        decided_at = time.time()
        self._last_captured_at = frame.captured_at
        self.statistics.count(inspection, (time.monotonic() - frame.captured_monotonic_s) * 1000)
        alert = self._alert(frame, inspection, decided_at)
        try:
            if alert:
                self._outlets.send(alert)
        finally:  # a frame whose alert could not be written still has its line
            self._log(inspection, frame, decided_at)
        return alert

    def camera_lost(self, error: CameraError) -> None:
        """Say that the camera is gone, in an event and in a line: neither a good part nor a defective one.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        try:
            self.camera_event("lost", error.what)
        finally:
            self._log(self._inspector.no_decision(f"camera lost: {error.what}"), None, time.time())

    def camera_event(self, state: SourceState, reason: str) -> None:
        """Say what happened to the camera.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._outlets.send(
            CameraEvent(
                id=uuid7(),
                state=state,
                camera=self._name,
                reason=reason,
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
        self._outlets.send(
            DeviceEvent(
                id=uuid7(),
                state="lost" if isinstance(error, DeviceLostError) else "error",
                camera=self._name,
                device=self._inspector.engine.key.device,
                reason=error.what,
                decided_at=time.time(),
                bundle=self._bundle,
                frame=undecided.number if undecided else None,
                captured_at=undecided.captured_at if undecided else None,
            )
        )

    @property
    def _bundle(self) -> str:
        return self._inspector.bundle.manifest.id

    def _alert(self, frame: Frame, inspection: Inspection, decided_at: float) -> Alert | None:
        change = self._policy.update(inspection, frame.captured_monotonic_s)
        self.statistics.held_back = self._policy.held_back
        if change is None or inspection.score is None:
            return None
        self.statistics.alerts += change.state is AlertState.RAISED
        return Alert(
            id=change.id,
            state=change.state.value,
            camera=self._name,
            frame=frame.number,
            source=frame.source,
            captured_at=frame.captured_at,
            decided_at=decided_at,
            score=inspection.score,
            threshold=inspection.threshold,
            regions=inspection.regions,
            bundle=self._bundle,
        )

    def _log(self, inspection: Inspection, frame: Frame | None, decided_at: float) -> None:
        line = FrameVerdict(
            inspection,
            camera=self._name,
            frame=frame.number if frame else None,
            source=frame.source if frame else self._name,
            captured_at=frame.captured_at if frame else None,
            decided_at=decided_at,
            bundle=self._bundle,
        )
        self._outlets.log(line, may_wait=not self._live)
