"""Where a line sends what it has to say: events to the sinks, a line per frame to those who watch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.events import Alert, DiskEvent, Event, FrameVerdict, uuid7
from edgerd.line.archive import Archive, Part
from edgerd.line.observer import Observer
from edgerd.sinks.protocol import Sink
from edgerd.triggers import Trigger
from edgerd.types import Frame

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
    """Takes what is said of a line's cameras to everybody who is to hear it.

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

    Attributes:
        recipe: SHA-256 of the recipe, for alerts; the thread that judges may change it.
        outlasts_the_run: Whether alerts that are open at the end of the run are continued by the next one.
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
