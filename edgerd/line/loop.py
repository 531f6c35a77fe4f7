"""The loop of a run: take a frame, judge it, alert, write it down, and again."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from edgerd.cameras.protocol import Camera, UnreadablePictureError, early_end
from edgerd.errors import CameraError, DeviceError, EdgerdError, InputError, MissingDependencyError, StorageError
from edgerd.events import Alert
from edgerd.inspection.guards import FrozenGuard, SizeGuard
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.judge import Pending
from edgerd.line.decision import PartPolicy, Policy, StreamPolicy
from edgerd.line.mailbox import Mailbox, Sequential
from edgerd.line.record import RunLog
from edgerd.line.statistics import RunStatistics
from edgerd.line.summary import Ended, RunSummary
from edgerd.sinks.protocol import Sink
from edgerd.types import Frame, Inspection

_UNABLE = (DeviceError, MissingDependencyError)
"""A device that failed, or whose kernels cannot be made."""


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

    A frame that cannot be judged is NO_DECISION, with the reason in its verdict line, and the run goes on: a frame that
    arrived damaged, a picture that cannot be read, does not fit the region, is black or badly exposed; from a live
    camera a frozen one; from a camera or video one of another size than the first. A lost camera is the last such line.

    Args:
        inspector: Judges; stays open.
        camera: Gives the frames; closed at the end.
        policy: Turns verdicts into alerts; None for `StreamPolicy` on live cameras, else `PartPolicy`.
        event_sinks: Get the alerts, and what happened to camera, device and disk; stay open. Where one does not take an
            event the run ends.
        verdict_sinks: Get a line per frame; stay open. Lines that one does not take are dropped and counted.
        frames: "newest" drops what came while a frame was being judged; None for that on live cameras, else "every".
        max_frames: End after so many.
        on_update: Called after every frame, in this thread.
        stop: Set, from any thread or a signal handler, to end the run after the frame in hand, its alert delivered;
            KeyboardInterrupt ends it where it is.
        profile: Count `engine_ms`.

    Returns:
        The summary. An error of edgerd (camera or device lost, disk full, a region outside the camera's frame) and
        Ctrl-C end the run, not the summary: it names them, and `RunSummary.raise_for_error` raises the error. What was
        sent to the sinks stays; frames that were under way get a line as NO_DECISION.
    """
    record = RunLog(
        camera=camera.uri,
        bundle=inspector.bundle.manifest.id,
        device=inspector.engine.key.device,
        threshold=inspector.threshold,
        policy=policy or default_policy(camera),
        event_sinks=event_sinks,
        verdict_sinks=verdict_sinks,
    )
    run = _Run(inspector, camera, record, profile=profile)
    newest = camera.live if frames is None else frames == "newest"
    source = Mailbox(camera, buffers=inspector.buffers) if newest else Sequential(camera, inspector.buffers)
    ended = Ended.ERROR
    error: EdgerdError | None = None
    try:
        with source:
            ended = run.follow(source, stop or threading.Event(), max_frames, on_update)
    except KeyboardInterrupt:
        ended = Ended.INTERRUPTED
        run.report_undecided("the run was interrupted")
    except EdgerdError as failure:
        error = run.report(failure)
    except Exception as bug:  # nobody's doing but ours: it goes on its way, but no frame goes without its line
        run.report_undecided(f"internal error: {type(bug).__name__}")
        raise
    finally:
        run.release()
    record.statistics.dropped = source.dropped  # with those that came while the last frame was being judged
    return RunSummary.of(
        record.statistics,
        inspector,
        camera=camera.uri,
        profiled=profile,
        ended=ended,
        warnings=(
            *inspector.notes,
            *record.warnings,
            *(_early_end(camera, record.statistics) if ended is Ended.END_OF_SOURCE else ()),
        ),
        error=error,
    )


def default_policy(camera: Camera) -> Policy:
    """`StreamPolicy` for live cameras; `PartPolicy` for files, each frame of which is a part."""
    return StreamPolicy() if camera.live else PartPolicy()


class _Run:
    """A frame's way: taken from the source, submitted, under way, finished, recorded."""

    def __init__(self, inspector: Inspector, camera: Camera, record: RunLog, *, profile: bool) -> None:
        self._inspector = inspector
        self._buffers = inspector.buffers
        self._camera = camera
        self._record = record
        self._profile = profile
        self._guards: list[SizeGuard | FrozenGuard] = []
        if camera.fixed_size:
            self._guards.append(SizeGuard())
        if camera.live:
            self._guards.append(FrozenGuard())
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

    def report(self, failure: EdgerdError) -> EdgerdError:
        """Say in events and lines what broke the run off, and which frames it leaves without a decision.

        A full disk must not hide what came before it: events that cannot be written are left out.

        Returns:
            The error that the run ends with: that of the camera where its frames do not fit.
        """
        undecided = self._under_way[0][0] if self._under_way else None
        if self._camera.live and isinstance(failure, InputError):
            # Not the user's input: a camera was switched to another size. It may be switched back, so try again.
            failure = CameraError(failure.what, expected=failure.expected, hint=failure.hint)
            with contextlib.suppress(StorageError):
                self._record.camera_event("error", failure)
        elif isinstance(failure, CameraError):
            with contextlib.suppress(StorageError):
                self._record.camera_lost(failure)
        elif isinstance(failure, _UNABLE):
            with contextlib.suppress(StorageError):
                self._record.device_failed(failure, undecided)
        self.report_undecided(failure.what)
        return failure

    def report_undecided(self, reason: str) -> None:
        """Give the frames that were under way when the run broke off their line: they are neither good nor bad."""
        for frame, _ in self._under_way:
            with contextlib.suppress(StorageError):
                self._record.add(frame, self._record.no_decision(reason))

    def release(self) -> None:
        """Give back the buffers of frames that were left under way."""
        for frame, _ in self._under_way:
            self._give_back(frame)

    def _begin(
        self, source: Mailbox | Sequential, stop: threading.Event, on_update: Callable[[Update], None] | None
    ) -> Ended | None:
        """Take a frame and submit it; why to end where there is none."""
        try:
            frame = source.take(stop, None if self._under_way else self._inspector.keep_warm)
        except UnreadablePictureError as unreadable:
            self._under_way.append((unreadable.frame, Pending.done(self._record.no_decision(unreadable.what))))
            return None
        except Exception:  # of the camera: the frames before it count
            self._finish_all(source, on_update)
            raise
        if frame is None:
            return Ended.STOPPED if stop.is_set() else Ended.END_OF_SOURCE
        try:
            while self._under_way and self._buffers and not self._buffers.has_room(frame.data):
                self._finish(source, on_update)
            pending = self._submit(frame)
        except BaseException as error:  # of a frame before it, or Ctrl-C; this one gets its line too
            self._under_way.append((frame, Pending.failed(error)))
            raise
        self._under_way.append((frame, pending))
        return None

    def _submit(self, frame: Frame) -> Pending:
        reasons = [guard.reason(frame) for guard in self._guards]
        if any(reasons):
            return Pending.done(self._record.no_decision(next(filter(None, reasons))))
        try:
            return self._inspector.submit(frame)
        except Exception as error:  # noqa: BLE001  raised when this frame's turn comes: those before it count
            if isinstance(error, InputError) and not self._camera.fixed_size:  # the next one may fit
                return Pending.done(self._record.no_decision(error.what))
            return Pending.failed(error)

    def _finish_all(self, source: Mailbox | Sequential, on_update: Callable[[Update], None] | None) -> None:
        while self._under_way:
            self._finish(source, on_update)

    def _finish(self, source: Mailbox | Sequential, on_update: Callable[[Update], None] | None) -> None:
        """Wait for the oldest frame under way, and say what was found."""
        frame, pending = self._under_way[0]
        inspection = pending.result()
        self._under_way.popleft()
        try:
            self._record.statistics.dropped = source.dropped
            alert = self._record.add(frame, inspection, pending.engine_ms if self._profile else None)
            if on_update:
                on_update(Update(frame, inspection, alert, self._record.statistics))
        finally:
            self._give_back(frame)

    def _give_back(self, frame: Frame) -> None:
        if self._buffers:
            self._buffers.give_back(frame.data)


def _early_end(camera: Camera, statistics: RunStatistics) -> tuple[str, ...]:
    return tuple(filter(None, [early_end(camera, statistics.frames + statistics.dropped)]))
