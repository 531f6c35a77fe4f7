"""What a line says of the frames of one camera: counted, turned into alerts, and told."""

from __future__ import annotations

import time

from edgerd.errors import CameraError, DeviceLostError, EdgerdError
from edgerd.events import Alert, CameraEvent, DeviceEvent, FrameVerdict, SourceState, uuid7
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import AlertState, Policy
from edgerd.line.record import Outlets
from edgerd.line.statistics import RunStatistics
from edgerd.triggers import Trigger
from edgerd.types import Frame, Inspection


class CameraLog:
    """Counts what was found in one camera's frames, in their order, turns it into alerts, and tells it.

    Args:
        name: Name of the camera.
        live: Whether its frames come whether they are wanted or not.
        policy: Turns verdicts into alerts.
        outlets: Take the events and the verdicts.

    Attributes:
        statistics: The counts so far.
    """

    def __init__(self, name: str, live: bool, policy: Policy, outlets: Outlets) -> None:
        self.statistics = RunStatistics()
        self._name = name
        self._live = live
        self._policy = policy
        self._outlets = outlets
        self._open: Alert | None = None
        self._held_back_before = 0  # by the policies before this one
        self._last_captured_at: float | None = None
        self._lost_s: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it was said that the camera is lost, and not yet that it is back."""
        return self._lost_s is not None

    def resume(self, alert: Alert) -> None:
        """Go on with an alert that was open when the process before this one ended."""
        self._open = alert
        self._policy.resume(alert.id)

    def change_policy(self, policy: Policy) -> None:
        """Turn verdicts into alerts in another way, from the next frame on.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if self._open is not None:
            policy.resume(self._open.id)
        self._held_back_before += self._policy.held_back
        self._policy = policy
        if self._open is not None and not policy.is_open:
            self.close_alert("the alert policy was changed")

    def add(
        self,
        frame: Frame | None,
        inspection: Inspection,
        inspector: Inspector,
        trigger: Trigger | None = None,
        product: str | None = None,
    ) -> Alert | None:
        """Take the next frame: its alert is sent first, then its line.

        Args:
            frame: From the camera; None where a trigger got none.
            inspection: What was found in it.
            inspector: What judged it.
            trigger: What asked for it; None where nothing did.
            product: What it shows; None where the camera sees one product only.

        Returns:
            The alert that it raised or cleared.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        line = FrameVerdict(
            inspection,
            camera=self._name,
            frame=frame.number if frame else None,
            source=frame.source if frame else self._name,
            captured_at=frame.captured_at if frame else None,
            decided_at=time.time(),
            bundle=inspector.bundle.manifest.id,
            trigger=trigger.id if trigger else None,
            product=product,
        )
        if frame is None:
            self.statistics.count(inspection, 0.0)
            self.statistics.without_frame += 1
            self._log(line, trigger)
            return None
        self._last_captured_at = frame.captured_at
        self.statistics.last_captured_monotonic_s = frame.captured_monotonic_s
        self.statistics.count(inspection, (time.monotonic() - frame.captured_monotonic_s) * 1000)
        alert = self._alert(line, frame)
        try:
            if alert:
                self._send_alert(alert)
        finally:  # a frame whose alert could not be written still has its line
            self._outlets.keep(frame, line, inspector.spec, may_wait=not self._live)
            self._log(line, trigger)
        return alert

    def close_alert(self, reason: str) -> None:
        """Clear the alert that is open, though no frame cleared it.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if self._open is not None:
            self._send_alert(self._open.closed(reason))

    def camera_lost(self, error: CameraError, inspector: Inspector) -> None:
        """Say that the camera is gone, in an event and in a line: neither a good part nor a defective one.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._lost_s = time.monotonic()
        try:
            self.camera_event("lost", error.what, inspector)
        finally:
            line = FrameVerdict(
                inspector.no_decision(f"camera lost: {error.what}"),
                camera=self._name,
                frame=None,
                source=self._name,
                captured_at=None,
                decided_at=time.time(),
                bundle=inspector.bundle.manifest.id,
            )
            self._log(line, None)

    def camera_back(self, inspector: Inspector) -> None:
        """Say that the camera gives frames again, where it was said to be lost.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if self._lost_s is None:
            return
        away_s = time.monotonic() - self._lost_s
        self._lost_s = None
        self.camera_event("back", f"It gives frames again after {away_s:.1f} s.", inspector)

    def camera_event(self, state: SourceState, reason: str, inspector: Inspector) -> None:
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
                bundle=inspector.bundle.manifest.id,
                captured_at=self._last_captured_at,
            )
        )

    def device_failed(self, error: EdgerdError, undecided: Frame | None, inspector: Inspector) -> None:
        """Say that the device no longer judges.

        Args:
            error: Why it does not.
            undecided: The first frame that gets no decision because of it, where there is one.
            inspector: What judged.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._outlets.send(
            DeviceEvent(
                id=uuid7(),
                state="lost" if isinstance(error, DeviceLostError) else "error",
                camera=self._name,
                device=inspector.engine.key.device,
                reason=error.what,
                decided_at=time.time(),
                bundle=inspector.bundle.manifest.id,
                frame=undecided.number if undecided else None,
                captured_at=undecided.captured_at if undecided else None,
            )
        )

    def _alert(self, line: FrameVerdict, frame: Frame) -> Alert | None:
        inspection = line.inspection
        change = self._policy.update(inspection, frame.captured_monotonic_s)
        self.statistics.held_back = self._held_back_before + self._policy.held_back
        if change is None or inspection.score is None:
            return None
        self.statistics.alerts += change.state is AlertState.RAISED
        return Alert(
            id=change.id,
            state=change.state.value,
            camera=line.camera,
            frame=frame.number,
            source=line.source,
            captured_at=frame.captured_at,
            decided_at=line.decided_at,
            score=inspection.score,
            threshold=inspection.threshold,
            regions=inspection.regions,
            bundle=line.bundle,
            trigger=line.trigger,
            product=line.product,
            recipe=self._outlets.recipe,
        )

    def _send_alert(self, alert: Alert) -> None:
        lasts = alert.state == AlertState.RAISED.value and self._policy.is_open
        self._open = alert if lasts else None
        self._outlets.send(alert, self._open)

    def _log(self, line: FrameVerdict, trigger: Trigger | None) -> None:
        self._outlets.log(line, trigger, may_wait=not self._live)
