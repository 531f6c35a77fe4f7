"""What a line says of its frames: counted, turned into alerts, sent to the sinks and to those who watch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.errors import CameraError, DeviceLostError, EdgerdError
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, Event, FrameVerdict, SourceState, uuid7
from edgerd.inspection.inspector import Inspector
from edgerd.line.archive import Archive, Part
from edgerd.line.decision import AlertState, Policy
from edgerd.line.observer import Observer
from edgerd.line.statistics import RunStatistics
from edgerd.sinks.protocol import Sink
from edgerd.triggers import Trigger
from edgerd.types import Frame, Inspection

_LINES_THAT_WAIT = 1000
_PICTURES_THAT_WAIT = 8


class EventLog(Protocol):
    """What makes events durable before anybody is told of them; the outbox is one."""

    def append(self, events: Sequence[Event], open_alerts: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Take events, and what is open after them.

        Args:
            events: In the order in which they happened.
            open_alerts: By camera, its alert that was raised and not cleared, as JSON has it; None where it is over.
        """
        ...


class ResultLink(Protocol):
    """Somebody who asked for a verdict and waits for it, such as a PLC."""

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Hand over what was found in one frame; returns at once and never raises.

        Args:
            verdict: What was found.
            trigger: What asked for it; None where nothing did.
        """
        ...


class Outlets:
    """Where the cameras of a line send what they have to say.

    Events are what a run is for: where a sink does not take one, the run ends. Verdict logs only observe: what one does
    not take is dropped and counted, and an event says so.

    Args:
        event_sinks: Get the alerts, and what happened to cameras, device and disk; stay open.
        verdict_sinks: Get a line per frame, each from a thread of its own; stay open.
        event_log: Gets the events too, with the alerts that are open; None where nothing outlasts the run, so that what
            is open at its end is cleared.
        links: Get each verdict at once.
        archive: Keeps pictures, in a thread of its own; stays open.
        recipe: SHA-256 of the recipe, for alerts; None where there is none.
    """

    def __init__(
        self,
        event_sinks: Iterable[Sink] = (),
        verdict_sinks: Iterable[Sink] = (),
        event_log: EventLog | None = None,
        links: Iterable[ResultLink] = (),
        archive: Archive | None = None,
        recipe: str | None = None,
    ) -> None:
        self.recipe = recipe
        self.outlasts_the_run = event_log is not None
        self._event_sinks = tuple(event_sinks)
        self._event_log = event_log
        self._links = tuple(links)
        self._logs = [
            Observer(f"verdict log {sink.name}", sink.send, noun="line", capacity=_LINES_THAT_WAIT)
            for sink in verdict_sinks
        ]
        self._archive = archive
        self._pictures: Observer[Part] | None = None
        if archive is not None:
            self._pictures = Observer("archive", archive.take, noun="picture", capacity=_PICTURES_THAT_WAIT)

    @property
    def losses(self) -> tuple[str, ...]:
        """What the verdict logs did not take, a sentence each."""
        return tuple(observer.loss for observer in self._observers if observer.loss)

    def send(self, event: Event, open_alert: Alert | Literal["same"] | None = "same") -> None:
        """Send an event; returns when it is safe with every sink.

        Args:
            event: What happened.
            open_alert: The camera's alert that is open after it, None where none is; "same" where that has not changed.

        Raises:
            StorageError: The disk of a sink is full.
        """
        if self._event_log is not None:
            changed: dict[str, Mapping[str, Any] | None] = {}
            if open_alert != "same":
                changed[event.camera] = open_alert.to_json() if open_alert else None
            self._event_log.append([event], changed)
        for sink in self._event_sinks:
            sink.send(event)

    def log(self, line: FrameVerdict, trigger: Trigger | None, *, may_wait: bool) -> None:
        """Hand a verdict to those who wait for it and to the logs; an event says where one begins or ceases to fail.

        Args:
            line: What was found in a frame.
            trigger: What asked for it; None where nothing did.
            may_wait: Wait for a log that is slow, because the frames wait too; else it loses the line.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        for link in self._links:
            link.publish(line, trigger)
        for log in self._logs:
            log.put(line, may_wait=may_wait)
        self._tell_changes(line.camera, line.bundle)

    def keep(self, frame: Frame, line: FrameVerdict, spec: PreprocessSpec, *, may_wait: bool) -> None:
        """Hand a frame to the archive, where it wants it.

        Args:
            frame: What was judged.
            line: What was found in it.
            spec: The preprocessing of what judged it.
            may_wait: Wait for a disk that is slow, because the frames wait too; else it loses the picture.
        """
        if self._archive is not None and self._pictures is not None:
            part = self._archive.choose(frame, line, spec)
            if part is not None:
                self._pictures.put(part, may_wait=may_wait)

    def close(self, camera: str, bundle: str) -> None:
        """Let verdict logs and archive take what waits.

        Args:
            camera: Name of the camera that stands in an event about a log that fails at the end.
            bundle: Id of the bundle that stands there.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        for observer in self._observers:
            observer.close()
        self._tell_changes(camera, bundle)

    @property
    def _observers(self) -> tuple[Observer[FrameVerdict] | Observer[Part], ...]:
        return (*self._logs, *(() if self._pictures is None else (self._pictures,)))

    def _tell_changes(self, camera: str, bundle: str) -> None:
        for observer in self._observers:
            for state, reason in observer.changes():
                self.send(DiskEvent(uuid7(), state, camera, reason, time.time(), bundle))


class CameraLog:
    """The frames of one camera, in the order in which they came.

    Args:
        name: The camera's.
        live: Whether its frames come whether they are wanted or not.
        policy: Turns verdicts into alerts.
        outlets: Where all goes.

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
        self._last_captured_at: float | None = None

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
            error: What it did.
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
        self.statistics.held_back = self._policy.held_back
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
