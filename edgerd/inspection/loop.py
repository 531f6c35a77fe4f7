"""The loop of a run: take a frame, judge it, alert, write it down, and again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import CameraError, EdgerdError, InputError, StorageError
from edgerd.inspection.decision import AlertState, PartPolicy, Policy, StreamPolicy
from edgerd.inspection.events import alert_event, camera_event, verdict_record
from edgerd.inspection.guards import FrozenGuard, SizeGuard
from edgerd.inspection.ids import uuid7
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.mailbox import Mailbox, Sequential
from edgerd.inspection.statistics import RunStatistics
from edgerd.inspection.summary import Ended, RunSummary
from edgerd.sinks.protocol import Sink
from edgerd.types import Alert, Frame, Inspection, Verdict


@dataclass(frozen=True)
class Update:
    """What a run tells after each frame.

    Attributes:
        frame: The frame; where a picture could not be read its data is empty, uint8 (0, 0, 3).
        inspection: What was found in it.
        alert: Raised or cleared by it.
        statistics: Of the run so far; changes with the next frame.
    """

    frame: Frame
    inspection: Inspection
    alert: Alert | None
    statistics: RunStatistics


def run_loop(
    inspector: Inspector,
    camera: Camera,
    policy: Policy | None = None,
    *,
    event_sinks: Iterable[Sink] = (),
    verdict_sinks: Iterable[Sink] = (),
    frames: Literal["newest", "every"] | None = None,
    max_frames: int | None = None,
    on_update: Callable[[Update], None] | None = None,
    stop: threading.Event | None = None,
    profile: bool = False,
) -> RunSummary:
    """Inspect the frames of a camera until it ends, is lost, or the run is stopped.

    A frame that cannot be judged is NO_DECISION, with the reason in its verdict line, and the run goes on: a picture
    that cannot be read, does not fit the region, is black or badly exposed; from a live camera a frozen one; from a
    camera or video one of another size than the first. A lost camera is the last such line.

    Args:
        inspector: Judges; stays open.
        camera: Gives the frames; closed at the end.
        policy: Turns verdicts into alerts; None for `StreamPolicy` on live cameras, else `PartPolicy`.
        event_sinks: Get the alerts, and that the camera was lost; stay open.
        verdict_sinks: Get a line per frame; stay open.
        frames: "newest" drops what came while a frame was being judged; None for that on live cameras, else "every".
        max_frames: End after so many.
        on_update: Called after every frame, in this thread.
        stop: Set, from any thread or a signal handler, to end the run after the frame in hand, its alert delivered;
            KeyboardInterrupt ends it where it is.
        profile: Count `engine_ms`.

    Returns:
        The summary. An error of edgerd (camera lost, disk full, a region outside the camera's frame) and Ctrl-C end the
        run, not the summary: it names them, and `RunSummary.raise_for_error` raises the error.
    """
    run = _Run(inspector, camera, policy or default_policy(camera), tuple(event_sinks), tuple(verdict_sinks), profile)
    newest = camera.live if frames is None else frames == "newest"
    source = Mailbox(camera) if newest else Sequential(camera)
    stop = stop or threading.Event()
    ended = Ended.ERROR
    error: EdgerdError | None = None
    try:
        with source:
            ended = run.follow(source, stop, max_frames, on_update)
    except KeyboardInterrupt:
        ended = Ended.INTERRUPTED
    except CameraError as lost:
        error = lost
        # A full disk must not hide that the camera was lost first.
        with contextlib.suppress(StorageError):
            run.report_lost(lost)
    except EdgerdError as failure:
        error = failure
    return RunSummary.of(
        run.statistics,
        inspector,
        camera=camera.uri,
        profiled=profile,
        ended=ended,
        warnings=_early_end(camera, run.statistics) if ended is Ended.END_OF_SOURCE else (),
        error=error,
    )


def default_policy(camera: Camera) -> Policy:
    """`StreamPolicy` for live cameras; `PartPolicy` for files, each frame of which is a part."""
    return StreamPolicy() if camera.live else PartPolicy()


class _Run:
    def __init__(
        self,
        inspector: Inspector,
        camera: Camera,
        policy: Policy,
        event_sinks: tuple[Sink, ...],
        verdict_sinks: tuple[Sink, ...],
        profile: bool,
    ) -> None:
        self.statistics = RunStatistics()
        self._inspector = inspector
        self._camera = camera
        self._policy = policy
        self._event_sinks = event_sinks
        self._verdict_sinks = verdict_sinks
        self._profile = profile
        self._guards = [SizeGuard()] * camera.fixed_size + [FrozenGuard()] * camera.live
        self._bundle = inspector.bundle.manifest.id
        self._alert_id = ""

    def follow(
        self,
        source: Mailbox | Sequential,
        stop: threading.Event,
        max_frames: int | None,
        on_update: Callable[[Update], None] | None,
    ) -> Ended:
        """Frame after frame, until there is a reason to end."""
        while max_frames is None or self.statistics.frames < max_frames:
            try:
                frame = source.take(stop)
                if frame is None:
                    return Ended.STOPPED if stop.is_set() else Ended.END_OF_SOURCE
                inspection = self._judge(frame)
            except UnreadablePictureError as unreadable:
                frame, inspection = unreadable.frame, self._no_decision(unreadable.what)
            self.statistics.dropped = source.dropped
            alert = self._record(frame, inspection)
            if on_update:
                on_update(Update(frame, inspection, alert, self.statistics))
        return Ended.MAX_FRAMES

    def report_lost(self, error: CameraError) -> None:
        """A lost camera is neither good nor bad: its line says so, and an event."""
        now = time.time()
        event = camera_event(uuid7(), "lost", self._camera.uri, error.what, now, self._bundle)
        _send(self._event_sinks, event)
        line = verdict_record(
            self._no_decision(f"camera lost: {error.what}"),
            camera=self._camera.uri,
            frame=None,
            source=self._camera.uri,
            captured_at=None,
            decided_at=now,
            bundle=self._bundle,
        )
        _send(self._verdict_sinks, line)

    def _judge(self, frame: Frame) -> Inspection:
        reasons = [guard.reason(frame) for guard in self._guards]
        if any(reasons):
            return self._no_decision(next(filter(None, reasons)))
        try:
            return self._inspector.inspect(frame)
        except InputError as error:
            if self._camera.fixed_size:  # then no other frame will fit either
                raise
            return self._no_decision(error.what)

    def _no_decision(self, reason: str) -> Inspection:
        return Inspection(Verdict.NO_DECISION, score=None, threshold=self._inspector.threshold, reason=reason)

    def _record(self, frame: Frame, inspection: Inspection) -> Alert | None:
        decided_at = time.time()
        capture_to_verdict_ms = (time.monotonic() - frame.captured_monotonic_s) * 1000
        engine_ms = self._inspector.last_engine_ms if self._profile else None
        self.statistics.count(inspection, capture_to_verdict_ms, engine_ms)
        alert = self._alert(frame, inspection, decided_at)
        if alert:
            _send(self._event_sinks, alert_event(alert))
        line = verdict_record(
            inspection,
            camera=self._camera.uri,
            frame=frame.number,
            source=frame.source,
            captured_at=frame.captured_at,
            decided_at=decided_at,
            bundle=self._bundle,
        )
        _send(self._verdict_sinks, line)
        return alert

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
            camera=self._camera.uri,
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


def _early_end(camera: Camera, statistics: RunStatistics) -> tuple[str, ...]:
    """Some containers announce one frame too many; more than that is a video cut short."""
    seen = statistics.frames + statistics.dropped
    if camera.n_frames is None or camera.n_frames - seen <= 1:
        return ()
    return (f"{camera.uri} ended after {seen} of the {camera.n_frames} frames it announces.",)
