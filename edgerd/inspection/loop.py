"""The loop of a run: take a frame, judge it, alert, write it down, and again."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NoReturn

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import CameraError, DeviceLostError, EdgerdError, InputError, StorageError
from edgerd.inspection.decision import AlertState, PartPolicy, Policy, StreamPolicy
from edgerd.inspection.events import alert_event, camera_event, verdict_record
from edgerd.inspection.guards import FrozenGuard, SizeGuard
from edgerd.inspection.ids import uuid7
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.judge import Pending
from edgerd.inspection.mailbox import Mailbox, Sequential
from edgerd.inspection.statistics import RunStatistics
from edgerd.inspection.summary import Ended, RunSummary
from edgerd.sinks.protocol import Sink
from edgerd.types import Alert, Frame, Inspection, Verdict


@dataclass(frozen=True)
class Update:
    """What a run tells after each frame.

    Attributes:
        frame: The frame; where a picture could not be read its data is empty, uint8 (0, 0, 3). It may lie in memory
            that the camera writes to again: copy what is to be kept.
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
        The summary. An error of edgerd (camera or GPU lost, disk full, a region outside the camera's frame) and Ctrl-C
        end the run, not the summary: it names them, and `RunSummary.raise_for_error` raises the error. What was sent to
        the sinks stays; frames that were under way in a GPU that is lost get a line as NO_DECISION.
    """
    run = _Run(inspector, camera, policy or default_policy(camera), tuple(event_sinks), tuple(verdict_sinks), profile)
    newest = camera.live if frames is None else frames == "newest"
    source = Mailbox(camera, buffers=inspector.buffers) if newest else Sequential(camera, inspector.buffers)
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
    except DeviceLostError as gone:
        error = gone
        with contextlib.suppress(StorageError):
            run.report_undecided(gone)
    except EdgerdError as failure:
        error = failure
    finally:
        run.release()
    return RunSummary.of(
        run.statistics,
        inspector,
        camera=camera.uri,
        profiled=profile,
        ended=ended,
        warnings=inspector.notes + (_early_end(camera, run.statistics) if ended is Ended.END_OF_SOURCE else ()),
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
        self._buffers = inspector.buffers
        self._camera = camera
        self._policy = policy
        self._event_sinks = event_sinks
        self._verdict_sinks = verdict_sinks
        self._profile = profile
        self._guards = [SizeGuard()] * camera.fixed_size + [FrozenGuard()] * camera.live
        self._bundle = inspector.bundle.manifest.id
        self._alert_id = ""
        self._under_way: deque[tuple[Frame, Pending]] = deque()

    def follow(
        self,
        source: Mailbox | Sequential,
        stop: threading.Event,
        max_frames: int | None,
        on_update: Callable[[Update], None] | None,
    ) -> Ended:
        """Frame after frame, until there is a reason to end; as many under way at once as the inspector may have.

        A frame is begun before those under way are finished only if it is there: no verdict waits for the camera.
        """
        ended: Ended | None = None
        n_taken = 0
        while ended is None or self._under_way:
            if n_taken == max_frames:
                ended = ended or Ended.MAX_FRAMES
            is_full = len(self._under_way) == self._inspector.depth
            if self._under_way and (ended or is_full or not source.is_ready()):
                self._finish(source, on_update)
            elif ended is None:
                ended = self._begin(source, stop, on_update)
                n_taken += 1
        return ended

    def release(self) -> None:
        """Give back the buffers of frames that were left under way."""
        for frame, _ in self._under_way:
            self._give_back(frame)

    def report_undecided(self, error: DeviceLostError) -> None:
        """The frames that were under way when the GPU was lost are neither good nor bad."""
        for frame, _ in self._under_way:
            self._record(frame, self._no_decision(error.what))

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

    def _begin(
        self, source: Mailbox | Sequential, stop: threading.Event, on_update: Callable[[Update], None] | None
    ) -> Ended | None:
        """Take a frame; why to end where there is none."""
        try:
            frame = source.take(stop, self._inspector.keep_warm)
            if frame is None:
                return Ended.STOPPED if stop.is_set() else Ended.END_OF_SOURCE
            while self._under_way and self._buffers and not self._buffers.has_room(frame.data):
                self._finish(source, on_update)
            pending = self._submit(frame)
        except UnreadablePictureError as unreadable:
            frame, pending = unreadable.frame, Pending.done(self._no_decision(unreadable.what))
        except DeviceLostError:
            raise
        except EdgerdError:  # of this frame or the camera: those before it count
            while self._under_way:
                self._finish(source, on_update)
            raise
        self._under_way.append((frame, pending))
        return None

    def _submit(self, frame: Frame) -> Pending:
        reasons = [guard.reason(frame) for guard in self._guards]
        if any(reasons):
            return Pending.done(self._no_decision(next(filter(None, reasons))))
        try:
            return self._inspector.submit(frame)
        except InputError as error:
            if self._camera.fixed_size:  # then no other frame will fit either
                raise
            return Pending.done(self._no_decision(error.what))
        except DeviceLostError as lost:
            return Pending(functools.partial(_fail, lost))

    def _finish(self, source: Mailbox | Sequential, on_update: Callable[[Update], None] | None) -> None:
        """Wait for the oldest frame under way, and say what was found."""
        frame, pending = self._under_way[0]
        inspection = pending.result()
        self._under_way.popleft()
        try:
            self.statistics.dropped = source.dropped
            alert = self._record(frame, inspection, pending.engine_ms)
            if on_update:
                on_update(Update(frame, inspection, alert, self.statistics))
        finally:
            self._give_back(frame)

    def _give_back(self, frame: Frame) -> None:
        if self._buffers:
            self._buffers.give_back(frame.data)

    def _no_decision(self, reason: str) -> Inspection:
        return Inspection(Verdict.NO_DECISION, score=None, threshold=self._inspector.threshold, reason=reason)

    def _record(self, frame: Frame, inspection: Inspection, engine_ms: float | None = None) -> Alert | None:
        decided_at = time.time()
        capture_to_verdict_ms = (time.monotonic() - frame.captured_monotonic_s) * 1000
        self.statistics.count(inspection, capture_to_verdict_ms, engine_ms if self._profile else None)
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


def _fail(error: EdgerdError) -> NoReturn:
    raise error


def _send(sinks: Iterable[Sink], event: dict[str, object]) -> None:
    for sink in sinks:
        sink.send(event)


def _early_end(camera: Camera, statistics: RunStatistics) -> tuple[str, ...]:
    """Some containers announce one frame too many; more than that is a video cut short."""
    seen = statistics.frames + statistics.dropped
    if camera.n_frames is None or camera.n_frames - seen <= 1:
        return ()
    return (f"{camera.uri} ended after {seen} of the {camera.n_frames} frames it announces.",)
