"""One camera of a line: where its frames come from, what is asked of them, and what is said of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from edgerd.cameras.protocol import Camera, early_end
from edgerd.errors import CameraError, DeviceError, EdgerdError, InputError, MissingDependencyError, StorageError
from edgerd.events import Alert
from edgerd.inspection.guards import FrozenGuard, SizeGuard
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.judge import Pending
from edgerd.line.decision import PartPolicy, Policy, StreamPolicy
from edgerd.line.mailbox import Bell, Mailbox, Sequential, Source
from edgerd.line.record import CameraLog, Outlets
from edgerd.line.statistics import RunStatistics
from edgerd.line.summary import Ended, RunSummary
from edgerd.types import Frame, Inspection

_UNABLE = (DeviceError, MissingDependencyError)
"""A device that failed, or whose kernels cannot be made."""


@dataclass(frozen=True)
class Update:
    """What a line tells after each frame.

    Attributes:
        camera: Name of the camera.
        frame: The frame; where a picture could not be read its data is empty, uint8 (0, 0, 3). It may lie in memory
            that the camera writes to again: copy what is to be kept.
        inspection: What was found in it.
        alert: The alert that it raised or cleared.
        statistics: The counts of this camera so far; they change with its next frame.
        live: Whether the camera goes on meanwhile, so that whoever is slow loses frames.
    """

    camera: str
    frame: Frame
    inspection: Inspection
    alert: Alert | None
    statistics: RunStatistics
    live: bool = False


class Feed:
    """A camera, what judges its frames, and what makes alerts of the verdicts.

    Args:
        inspector: Judges; stays open. Of feeds whose inspectors share an engine, each has its own (`Inspector.beside`).
        camera: Gives the frames; closed at the end.
        policy: Turns verdicts into alerts; None for `StreamPolicy` on live cameras, else `PartPolicy`.
        name: The camera's in events, verdicts and summary; None for its URI.
        frames: "newest" drops what came while a frame was being judged; None for that on live cameras, else "every".
        max_frames: End after so many.

    Attributes:
        name: As given.
        inspector: As given.
        ended: Why no more frames are taken; None while they are.
    """

    def __init__(
        self,
        inspector: Inspector,
        camera: Camera,
        policy: Policy | None = None,
        *,
        name: str | None = None,
        frames: Literal["newest", "every"] | None = None,
        max_frames: int | None = None,
    ) -> None:
        self.name = name or camera.uri
        self.inspector = inspector
        self.ended: Ended | None = None
        self._camera = camera
        self._policy = policy or default_policy(camera)
        self._frames = frames or ("newest" if camera.live else "every")
        self._n_left = max_frames
        self._error: EdgerdError | None = None
        self._buffers = inspector.buffers
        self._guards: list[SizeGuard | FrozenGuard] = []
        if camera.fixed_size:
            self._guards.append(SizeGuard())
        if camera.live:
            self._guards.append(FrozenGuard())
        self._source: Source
        self._log: CameraLog

    def begin(self, bell: Bell, outlets: Outlets) -> None:
        """Make ready for a run, which `with` begins and ends.

        Args:
            bell: To be rung when a frame has come.
            outlets: Where what is said of the frames goes.
        """
        self._log = CameraLog(self.name, self._camera.live, self.inspector, self._policy, outlets)
        if self._camera.live or self._frames == "newest":
            self._source = Mailbox(self._camera, bell, keep=self._frames, buffers=self._buffers)
        else:
            self._source = Sequential(self._camera, self._buffers)

    def __enter__(self) -> Feed:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, traceback)
        self._log.statistics.dropped = self._source.dropped  # with those that came during the last frame

    # frames in

    def waits_since(self) -> float | None:
        """Since when a frame, or the end, waits to be taken; None where nothing does, and where the feed has ended."""
        return None if self.ended else self._source.waits_since()

    def take(self) -> Frame | None:
        """The frame that waits; None at the end of the source, which ends the feed.

        Raises:
            CameraError: The camera was lost, or is silent.
            UnreadablePictureError: One picture cannot be read; take again.
        """
        try:
            frame = self._source.take()
        finally:
            self._n_left = None if self._n_left is None else self._n_left - 1
            if self._n_left == 0:
                self.ended = Ended.MAX_FRAMES
        if frame is None:
            self.ended = Ended.END_OF_SOURCE
        return frame

    def has_room(self, frame: Frame) -> bool:
        """Whether a frame can be judged now, or must wait until those before it are finished."""
        return self._buffers is None or self._buffers.has_room(frame.data)

    def submit(self, frame: Frame) -> Pending:
        """Begin to judge a frame. An error is raised when its turn comes: the frames before it count."""
        for reason in [guard.reason(frame) for guard in self._guards]:
            if reason:
                return self.undecided(reason)
        try:
            return self.inspector.submit(frame)
        except Exception as error:  # noqa: BLE001  raised by `Pending.result`
            if isinstance(error, InputError) and not self._camera.fixed_size:  # the next one may fit
                return self.undecided(error.what)
            return Pending.failed(error)

    def undecided(self, reason: str) -> Pending:
        """A frame that is not sent to the engine."""
        return Pending.done(self.inspector.no_decision(reason))

    def give_back(self, frame: Frame) -> None:
        """Free the buffer in which a frame lies."""
        if self._buffers:
            self._buffers.give_back(frame.data)

    # verdicts out

    def conclude(self, frame: Frame, inspection: Inspection) -> Update:
        """Say what was found in a frame.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._log.statistics.dropped = self._source.dropped
        alert = self._log.add(frame, inspection)
        return Update(self.name, frame, inspection, alert, self._log.statistics, self._camera.live)

    def leave_undecided(self, frame: Frame, reason: str) -> None:
        """Give a frame that was under way when the feed broke off its line: it is neither good nor bad.

        A full disk must not hide what came before it: an event that cannot be written is left out.
        """
        with contextlib.suppress(StorageError):
            self._log.add(frame, self.inspector.no_decision(reason))

    def fail(self, error: EdgerdError, undecided: Frame | None) -> None:
        """End for an error, and say in an event what happened to camera or device.

        Args:
            error: What breaks the feed off.
            undecided: The first frame that gets no decision because of it, where there is one.
        """
        self.ended = Ended.ERROR
        if self._camera.live and isinstance(error, InputError):
            # Not the user's input: a camera was switched to another size. It may be switched back, so try again.
            error = CameraError(error.what, expected=error.expected, hint=error.hint)
            with contextlib.suppress(StorageError):
                self._log.camera_event("error", error.what)
        elif isinstance(error, CameraError):
            with contextlib.suppress(StorageError):
                self._log.camera_lost(error)
        elif isinstance(error, _UNABLE):
            with contextlib.suppress(StorageError):
                self._log.device_failed(error, undecided)
        self._error = error

    def summary(self, *, profiled: bool, warnings: tuple[str, ...]) -> RunSummary:
        """What this camera's frames have come to.

        Args:
            profiled: Report the engine's time.
            warnings: What is worth knowing beside, a sentence each.
        """
        statistics = self._log.statistics
        early = early_end(self._camera, statistics.frames + statistics.dropped)
        return RunSummary.of(
            statistics,
            self.inspector,
            camera=self.name,
            profiled=profiled,
            ended=self.ended or Ended.ERROR,
            warnings=(
                *self.inspector.notes,
                *warnings,
                *([early] if early and self.ended is Ended.END_OF_SOURCE else []),
            ),
            error=self._error,
        )


def default_policy(camera: Camera) -> Policy:
    """`StreamPolicy` for live cameras; `PartPolicy` for files, each frame of which is a part."""
    return StreamPolicy() if camera.live else PartPolicy()
