"""One camera of a line: where its frames come from, which are judged and by what, and what is said of them."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import numpy as np

from edgerd.cameras.protocol import Camera, ReturningCamera, cut_short, early_end
from edgerd.errors import CameraError, DeviceError, EdgerdError, InputError, MissingDependencyError, StorageError
from edgerd.events import Alert
from edgerd.inspection.inspector import Inspector
from edgerd.line.camera_log import CameraLog
from edgerd.line.decision import PartPolicy, Policy, StreamPolicy
from edgerd.line.inlet import Inlet
from edgerd.line.judging import Job, Judging
from edgerd.line.mailbox import Bell
from edgerd.line.pick import EveryFrame, OnTrigger, Picked, Picker
from edgerd.line.products import Products
from edgerd.line.record import Outlets
from edgerd.line.statistics import RunStatistics
from edgerd.line.summary import Ended, RunSummary
from edgerd.triggers import Trigger
from edgerd.types import Frame, Inspection

_ONE = "part"
"""What the product of a camera is called that has one; it is said nowhere."""
_NO_FRAME = Frame(np.empty((0, 0, 3), np.uint8), number=-1)
_UNABLE = (DeviceError, MissingDependencyError)
"""A device that failed, or whose kernels cannot be made."""


@dataclass(frozen=True)
class Update:
    """What a line tells after each frame.

    Attributes:
        camera: Name of the camera.
        frame: The frame; where there was none, or a picture could not be read, its data is empty, uint8 (0, 0, 3). It
            may lie in memory that the camera writes to again: copy what is to be kept.
        inspection: What was found in it.
        alert: The alert that it raised or cleared.
        statistics: The counts of this camera so far; they change with its next frame.
        live: Whether the camera goes on meanwhile, so that whoever is slow loses frames.
        warning: What a person must know of the camera, said once; None where there is nothing new.
    """

    camera: str
    frame: Frame
    inspection: Inspection
    alert: Alert | None
    statistics: RunStatistics
    live: bool = False
    warning: str | None = None


class Feed:
    """A camera, what judges its frames, and what makes alerts of the verdicts.

    Args:
        inspector: Judges; stays open. Of feeds whose inspectors share an engine, each has its own (`Inspector.beside`).
            `Products` where the camera sees several.
        camera: Gives the frames; closed at the end.
        policy: Turns verdicts into alerts; None for `StreamPolicy` on live cameras, else `PartPolicy`.
        name: The camera's in events, verdicts and summary; None for its URI.
        frames: "newest" drops what came while a frame was being judged; None for that on live cameras, else "every".
        max_frames: End after so many were judged.
        picker: Says which frames are judged; None for all.
        deadline_ms: A verdict that comes later than this after the capture is NO_DECISION; None for no limit.

    Attributes:
        name: As given.
        products: What the camera can be told to inspect.
        picker: As given.
        policy: As given.
        ended: Why no more frames are taken; None while they are.
    """

    def __init__(
        self,
        inspector: Inspector | Products,
        camera: Camera,
        policy: Policy | None = None,
        *,
        name: str | None = None,
        frames: Literal["newest", "every"] | None = None,
        max_frames: int | None = None,
        picker: Picker | None = None,
        deadline_ms: float | None = None,
    ) -> None:
        self.name = name or camera.uri
        self.products = inspector if isinstance(inspector, Products) else Products({_ONE: inspector}, _ONE)
        self.policy = policy or default_policy(camera)
        self.picker = picker or EveryFrame()
        self.ended: Ended | None = None
        self._camera = camera
        self._frames = frames or ("newest" if camera.live else "every")
        self._n_left = max_frames
        self._error: EdgerdError | None = None
        self._buffers = self.products.buffers
        self._judging = Judging(self.products, camera, deadline_ms)
        self._lost_s: float | None = None
        self._refuses = False
        self._inlet = Inlet(camera, self.picker, self._frames, Bell(), self._buffers)
        self._log: CameraLog

    @property
    def inspector(self) -> Inspector:
        """What judges the product of now."""
        return self.products[self.products.current]

    @property
    def statistics(self) -> RunStatistics:
        """The counts so far; they change with the next frame."""
        return self._log.statistics

    @property
    def live(self) -> bool:
        """Whether the camera's frames come whether they are wanted or not."""
        return self._camera.live

    @property
    def is_lost(self) -> bool:
        """Whether the camera gives no frames at the moment, but may come back."""
        return self._lost_s is not None

    def begin(self, bell: Bell, outlets: Outlets) -> None:
        """Make ready for a run, which `with` begins and ends.

        Args:
            bell: To be rung when a frame or a trigger has come.
            outlets: Where what is said of the frames goes.
        """
        self._log = CameraLog(self.name, self._camera.live, self.policy, outlets)
        self._inlet = Inlet(self._camera, self.picker, self._frames, bell, self._buffers)

    def __enter__(self) -> Feed:
        """Begin to read the camera."""
        self._inlet.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the camera."""
        try:
            self._inlet.__exit__(kind, error, traceback)
        finally:
            self._count_what_was_not_judged()  # with the frames that came during the last one

    # frames in

    @property
    def takes_triggers(self) -> bool:
        """Whether frames are judged on triggers that come as messages."""
        return isinstance(self.picker, OnTrigger)

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before the camera now. For any thread; returns at once.

        Each trigger that is taken gets one verdict, whatever becomes of camera and run.

        Raises:
            InputError: The camera's frames are not judged on triggers that come as messages.
            CameraError: The camera takes no triggers any more, because it has ended.
        """
        self._inlet.fire(trigger)

    def waits_since(self) -> float | None:
        """Since when something waits to be taken; None where nothing does, and where the feed has ended."""
        return None if self.ended else self._inlet.waits_since()

    def due_s(self) -> float | None:
        """When a trigger will have waited for too long, on `time.monotonic`'s clock; None where none waits."""
        return None if self.ended else self._inlet.due_s()

    def take(self) -> Job | None:
        """What is to be judged next; None where what waited is not, and at the end of the source, which ends the feed.

        Raises:
            CameraError: The camera was lost, or is silent.
        """
        picked = self._inlet.take()
        self._count_what_was_not_judged()
        if picked is None:
            if self._inlet.has_ended:
                self._end_of_source()
            return None
        if self._n_left is not None:
            self._n_left -= 1
            if self._n_left == 0:
                self.ended = Ended.MAX_FRAMES
        return self._job(picked)

    def _end_of_source(self) -> None:
        """End, unless the source was cut short: what is missing was not inspected.

        Raises:
            CameraError: It was.
        """
        lost = None if self._camera.live else cut_short(self._camera, self._inlet.n_given)
        if lost:
            raise lost
        self.ended = Ended.END_OF_SOURCE

    def tell_that_it_is_back(self) -> None:
        """Say that the camera gives frames again, where it was lost and the last `take` got one.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if self._lost_s is None or not self._inlet.gives_frames:
            return
        away_s = time.monotonic() - self._lost_s
        self._lost_s = None
        self._log.camera_event("back", f"It gives frames again after {away_s:.1f} s.", self.inspector)

    def has_room(self, frame: Frame) -> bool:
        """Whether a frame can be judged now, or must wait until those before it are finished."""
        return self._inlet.has_room(frame)

    def submit(self, job: Job) -> None:
        """Begin to judge a frame. An error is raised when its turn comes: the frames before it count."""
        self._judging.submit(job)

    def give_back(self, frame: Frame | None) -> None:
        """Free the buffer in which a frame lies."""
        self._inlet.give_back(frame)

    # verdicts out

    def conclude(self, job: Job, inspection: Inspection) -> Update:
        """Say what was found in a frame.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if inspection.score is not None and job.frame is not None:
            late = self._judging.lateness(job.frame)
            inspection = job.inspector.no_decision(late) if late else inspection
        self._count_what_was_not_judged()
        job.is_told = True
        alert = self._log.add(job.frame, inspection, job.inspector, job.trigger, job.product)
        return Update(
            camera=self.name,
            frame=job.frame or _NO_FRAME,
            inspection=inspection,
            alert=alert,
            statistics=self.statistics,
            live=self._camera.live,
            warning=None if inspection.score is None else self._judging.shape_warning(job),
        )

    def leave_undecided(self, job: Job, reason: str) -> None:
        """Give a frame that was under way when the feed broke off its line: it is neither good nor bad.

        Nothing where it has its line. A full disk must not hide what came before it: an event that cannot be written is
        left out.
        """
        if job.is_told:
            return
        job.is_told = True
        with contextlib.suppress(StorageError):
            inspection = job.inspector.no_decision(reason)
            self._log.add(job.frame, inspection, job.inspector, job.trigger, job.product)

    def leave_the_rest_undecided(self, reason: str) -> None:
        """Give the frame that came in the moment in which the run broke off its line, and free its buffer."""
        frame, self._inlet.in_hand = self._inlet.in_hand, None
        if frame is not None:
            self.leave_undecided(self._job(Picked(frame)), reason)
            self.give_back(frame)

    def refuse_triggers(self) -> None:
        """Answer the triggers that wait for a frame of a feed that has ended, and take no more; once, or nothing."""
        if self._refuses:
            return
        self._refuses = True
        reason = self._error.what if self._error else f"the camera has ended: {(self.ended or Ended.ERROR).value}"
        for picked in self._inlet.refuse(reason):
            self.leave_undecided(self._job(picked), picked.reason)

    def lose(self, error: CameraError) -> bool:
        """Say that the camera is lost, where it may come back; whether it may.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if not isinstance(self._camera, ReturningCamera):
            return False
        if self._lost_s is None:
            self._lost_s = time.monotonic()
            self._log.camera_lost(error, self.inspector)
        else:
            self._log.camera_event("error", error.what, self.inspector)
        return True

    @property
    def can_resume(self) -> bool:
        """Whether an alert may last from one process to the next: that of a stream may, that of a part is over."""
        return isinstance(self.policy, StreamPolicy)

    def resume(self, alert: Alert) -> None:
        """Go on with an alert that was open when the process before this one ended; after `begin`."""
        self._log.resume(alert)

    def change_policy(self, policy: Policy) -> None:
        """Turn verdicts into alerts in another way; an alert that is open goes on, or is closed where none can be open.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self.policy = policy
        self._log.change_policy(policy)

    def close_alert(self, reason: str) -> None:
        """Clear the alert that is open at the end of a run which nobody continues.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        self._log.close_alert(reason)

    def fail(self, error: EdgerdError, undecided: Frame | None) -> None:
        """End because frames cannot be judged any more, and say in an event where that is the camera's or the device's.

        Args:
            error: What breaks the feed off.
            undecided: The first frame that gets no decision because of it, where there is one.
        """
        self.ended = Ended.ERROR
        if self._camera.live and isinstance(error, InputError):
            # Not the user's input: a camera was switched to another size. It may be switched back, so try again.
            error = CameraError(error.what, expected=error.expected, hint=error.hint)
            with contextlib.suppress(StorageError):
                self._log.camera_event("error", error.what, self.inspector)
        elif isinstance(error, _UNABLE):
            with contextlib.suppress(StorageError):
                self._log.device_failed(error, undecided, self.inspector)
        self._error = error

    def fail_to_read(self, error: EdgerdError) -> None:
        """End because the camera cannot be read, and say so in an event; the run's exit code is that of the error.

        Args:
            error: Of the camera: lost, an address that means nothing, or something that is not installed.
        """
        self.ended = Ended.ERROR
        self._error = error
        with contextlib.suppress(StorageError):
            if isinstance(error, CameraError):
                self._log.camera_lost(error, self.inspector)
            else:
                self._log.camera_event("error", error.what, self.inspector)

    def summary(self, *, profiled: bool, warnings: tuple[str, ...]) -> RunSummary:
        """What this camera's frames have come to.

        Args:
            profiled: Report the engine's time.
            warnings: What is worth knowing beside, a sentence each.
        """
        statistics = self.statistics
        early = early_end(self._camera, self._inlet.n_given)
        notes = dict.fromkeys(note for inspector in self.products.inspectors for note in inspector.notes)
        return RunSummary.of(
            statistics,
            self.inspector,
            camera=self.name,
            profiled=profiled,
            ended=self.ended or Ended.ERROR,
            warnings=(*notes, *warnings, *([early] if early and self.ended is Ended.END_OF_SOURCE else [])),
            error=self._error,
        )

    def _count_what_was_not_judged(self) -> None:
        self.statistics.dropped = self._inlet.dropped
        self.statistics.skipped = self._inlet.skipped

    def _job(self, picked: Picked) -> Job:
        return self._judging.job(self, picked)


def default_policy(camera: Camera) -> Policy:
    """`StreamPolicy` for live cameras; `PartPolicy` for files, each frame of which is a part."""
    return StreamPolicy() if camera.live else PartPolicy()
