"""What a run says of its frames: counted, turned into alerts, written to the sinks."""

from __future__ import annotations

import time
from collections.abc import Iterable

from edgerd.errors import CameraError
from edgerd.inspection.decision import AlertState, Policy
from edgerd.inspection.events import alert_event, camera_event, verdict_record
from edgerd.inspection.ids import uuid7
from edgerd.inspection.statistics import RunStatistics
from edgerd.sinks.protocol import Sink
from edgerd.types import Alert, Frame, Inspection, Verdict


class RunRecord:
    """The frames of one run, in the order in which they came.

    Args:
        camera: URI.
        bundle: Id.
        threshold: NG is a score above it.
        policy: Turns verdicts into alerts.
        event_sinks: Get the alerts, and that the camera was lost.
        verdict_sinks: Get a line per frame.

    Attributes:
        statistics: Of all that was recorded.
    """

    def __init__(
        self,
        camera: str,
        bundle: str,
        threshold: float,
        policy: Policy,
        event_sinks: Iterable[Sink],
        verdict_sinks: Iterable[Sink],
    ) -> None:
        self.statistics = RunStatistics()
        self._camera = camera
        self._bundle = bundle
        self._threshold = threshold
        self._policy = policy
        self._event_sinks = tuple(event_sinks)
        self._verdict_sinks = tuple(verdict_sinks)
        self._alert_id = ""

    def add(self, frame: Frame, inspection: Inspection, engine_ms: float | None = None) -> Alert | None:
        """Take the next frame: its alert is sent first, then its line.

        Args:
            frame: From the camera.
            inspection: What was found in it.
            engine_ms: Where that is to be counted.

        Returns:
            What it raised or cleared.

        Raises:
            StorageError: A sink's disk is full.
        """
        decided_at = time.time()
        capture_to_verdict_ms = (time.monotonic() - frame.captured_monotonic_s) * 1000
        self.statistics.count(inspection, capture_to_verdict_ms, engine_ms)
        alert = self._alert(frame, inspection, decided_at)
        if alert:
            _send(self._event_sinks, alert_event(alert))
        line = verdict_record(
            inspection,
            camera=self._camera,
            frame=frame.number,
            source=frame.source,
            captured_at=frame.captured_at,
            decided_at=decided_at,
            bundle=self._bundle,
        )
        _send(self._verdict_sinks, line)
        return alert

    def camera_lost(self, error: CameraError) -> None:
        """A lost camera is neither good nor bad: its line says so, and an event.

        Raises:
            StorageError: A sink's disk is full.
        """
        now = time.time()
        _send(self._event_sinks, camera_event(uuid7(), "lost", self._camera, error.what, now, self._bundle))
        line = verdict_record(
            self.no_decision(f"camera lost: {error.what}"),
            camera=self._camera,
            frame=None,
            source=self._camera,
            captured_at=None,
            decided_at=now,
            bundle=self._bundle,
        )
        _send(self._verdict_sinks, line)

    def no_decision(self, reason: str) -> Inspection:
        """For a frame that never got to the engine, or got lost there."""
        return Inspection(Verdict.NO_DECISION, score=None, threshold=self._threshold, reason=reason)

    def _alert(self, frame: Frame, inspection: Inspection, decided_at: float) -> Alert | None:
        state = self._policy.update(inspection, frame.captured_monotonic_s)
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


def _send(sinks: Iterable[Sink], event: dict[str, object]) -> None:
    for sink in sinks:
        sink.send(event)
