"""One camera of a line: where its frames come from, which are judged and by what, and what is said of them."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Literal

from edgerd.cameras.protocol import Camera, ReturningCamera, cut_short, early_end
from edgerd.errors import CameraError, DeviceError, EdgerdError, InputError, MissingDependencyError, StorageError
from edgerd.events import Alert
from edgerd.inspection.inspector import Inspector
from edgerd.line.camera_log import CameraLog
from edgerd.line.decision import Policy, StreamPolicy, usual_policy
from edgerd.line.inlet import Inlet
from edgerd.line.judging import Job, Judging
from edgerd.line.mailbox import Bell
from edgerd.line.pick import EveryFrame, OnTrigger, Picked, Picker
from edgerd.line.products import Products
from edgerd.line.record import Outlets
from edgerd.line.statistics import RunStatistics
from edgerd.line.summary import Ended, RunSummary
from edgerd.line.update import NO_FRAME, Update
from edgerd.triggers import Trigger
from edgerd.types import Frame, Inspection

_ONE_PRODUCT = "part"
"""Name of the product of a camera that inspects just one; it appears in no event and no verdict."""
_DEVICE_FAILURES = (DeviceError, MissingDependencyError)
"""Errors by which a device judges no more: it failed, or the kernels for it cannot be made."""


class Feed:
    """A camera, what judges its frames, and what makes alerts of the verdicts.

    Args:
        inspector: Judges the frames; stays open. Feeds that share an engine need an inspector each
            (`Inspector.beside`). `Products` where the camera can be told to inspect one of several.
        camera: Gives the frames; closed at the end.
        policy: Turns verdicts into alerts; None for `StreamPolicy` on live cameras, else `PartPolicy`.
        name: Name of the camera in events, verdicts and summary; None for its URI.
        frames: "newest" drops the frames that came while one was being judged, "every" drops none. None for "newest"
            on live cameras, and for "every" on files.
        max_frames: End after so many frames were judged; None for no limit.
        picker: Says which frames are judged; None for all.
        deadline_ms: A verdict that comes later than this after the capture is NO_DECISION; None for no limit.

    Attributes:
        name: Name of the camera.
        products: What the camera can be told to inspect.
        picker: Says which frames are judged.
        policy: Turns verdicts into alerts.
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
        if not isinstance(inspector, Products):
            inspector = Products({_ONE_PRODUCT: inspector}, _ONE_PRODUCT)
        self.products = inspector
        self.policy = policy or usual_policy(live=camera.live)
        self.picker = picker or EveryFrame()
        self.ended: Ended | None = None
        self._camera = camera
        self._frames = frames or ("newest" if camera.live else "every")
        self._n_left = max_frames
        self._error: EdgerdError | None = None
        self._buffers = self.products.buffers
        self._judging = Judging(self.products, camera, deadline_ms)
        self._refuses = False
        # Until `begin` gives it the line's bell, it takes the triggers that come early: they wait in the picker.
        self._inlet = Inlet(camera, self.picker, self._frames, Bell(), self._buffers)
        self._log: CameraLog

    @property
    def inspector(self) -> Inspector:
        """What judges the product that the camera inspects now."""
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
        """Whether the camera gives no frames at the moment."""
        return self._log.is_lost

    @property
    def has_failed(self) -> bool:
        """Whether no frame of the camera can be judged: it is lost, or the feed broke off with an error."""
        return self.is_lost or self.ended is Ended.ERROR

    @property
    def outcome(self) -> Ended:
        """Why a run that is over took no more frames; ERROR also where a bug broke it off before anything was noted."""
        return self.ended or Ended.ERROR

    def begin(self, bell: Bell, outlets: Outlets) -> None:
        """Make ready for a run, which `with` begins and ends.

        Args:
            bell: To be rung when a frame or a trigger has come.
            outlets: Take the events and the verdicts.
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
        """Take what waits: the frame, or the unanswered trigger, that gets the next verdict.

        Returns:
            None where the frame that waited is not to be judged, and at the end of the source, where the feed ends too.

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
        """End the feed.

        Raises:
            CameraError: The source was cut short: the frames that it lacks were not inspected.
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
        if self._inlet.gives_frames:
            self._log.camera_back(self.inspector)

    def has_room(self, frame: Frame) -> bool:
        """Whether a frame can be judged now, or must wait until those before it are finished."""
        return self._inlet.has_room(frame)

    def submit(self, job: Job) -> None:
        """Begin to judge the frame of a job. An error is raised by `Pending.result`, after the frames before it."""
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
            frame=job.frame or NO_FRAME,
            inspection=inspection,
            alert=alert,
            statistics=self.statistics,
            live=self._camera.live,
            warning=None if inspection.score is None else self._judging.warning(job, inspection),
        )

    def leave_undecided(self, job: Job, reason: str) -> None:
        """Write the verdict line of a frame that was under way when the feed broke off, as NO_DECISION.

        A frame that has its line gets no other. Where a full disk does not take the line's event, that is left out:
        it must not hide the error that broke the feed off.
        """
        if job.is_told:
            return
        job.is_told = True
        with contextlib.suppress(StorageError):
            inspection = job.inspector.no_decision(reason)
            self._log.add(job.frame, inspection, job.inspector, job.trigger, job.product)

    def leave_the_rest_undecided(self, reason: str) -> None:
        """Write the verdict line of the frame that was being picked when the run broke off, and free its buffer."""
        frame, self._inlet.in_hand = self._inlet.in_hand, None
        if frame is not None:
            self.leave_undecided(self._job(Picked(frame)), reason)
            self.give_back(frame)

    def refuse_triggers(self) -> None:
        """Answer the triggers that still wait now that the feed has ended, and take no more; safe to call again."""
        if self._refuses:
            return
        self._refuses = True
        reason = self._error.what if self._error else f"the camera has ended: {self.outcome.value}"
        for picked in self._inlet.refuse(reason):
            self.leave_undecided(self._job(picked), picked.reason)

    def lose(self, error: CameraError) -> bool:
        """Say in an event that the camera is lost, if it is one that may come back.

        Returns:
            Whether it may come back; else nothing was said.

        Raises:
            StorageError: The disk of an event sink is full.
        """
        if not isinstance(self._camera, ReturningCamera):
            return False
        if self.is_lost:
            self._log.camera_event("error", error.what, self.inspector)
        else:
            self._log.camera_lost(error, self.inspector)
        return True

    @property
    def can_resume(self) -> bool:
        """Whether an open alert may go on in the next process: a stream's may, a part's is over at once."""
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
        elif isinstance(error, _DEVICE_FAILURES):
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
            ended=self.outcome,
            warnings=(*notes, *warnings, *([early] if early and self.ended is Ended.END_OF_SOURCE else [])),
            error=self._error,
        )

    def _count_what_was_not_judged(self) -> None:
        self.statistics.dropped = self._inlet.dropped
        self.statistics.skipped = self._inlet.skipped

    def _job(self, picked: Picked) -> Job:
        return self._judging.job(self, picked)
