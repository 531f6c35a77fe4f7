"""What comes in from a camera: frames that are to be judged, and triggers that got none."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import Literal

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import InputError
from edgerd.inspection.slots import Buffers
from edgerd.line.mailbox import Bell, Mailbox
from edgerd.line.pick import OnTrigger, Picked, Picker
from edgerd.line.source import Sequential, Source
from edgerd.triggers import Trigger
from edgerd.types import Frame


class Inlet:
    """A camera and what picks among its frames; a context manager, which reads the camera and closes it.

    All but `fire` is for the thread that judges. Every frame that comes is picked, or counted as skipped or dropped;
    its buffer is free unless it was picked.

    Args:
        camera: Gives the frames.
        picker: Says which of them are judged.
        frames: "newest" drops what comes while a frame is being judged; "every" lets the camera wait.
        bell: Rung when there is something to take.
        buffers: Where frames are to lie; None for arrays of the camera's own.

    Attributes:
        has_ended: Whether the camera has given its last frame.
        gives_frames: Whether the last `take` got a frame of the camera, picked or not.
        in_hand: The frame that the picker looks at; None at other times.
        skipped: Frames that nobody asked for.
    """

    def __init__(
        self,
        camera: Camera,
        picker: Picker,
        frames: Literal["newest", "every"],
        bell: Bell,
        buffers: Buffers | None,
    ) -> None:
        self.has_ended = False
        self.gives_frames = False
        self.in_hand: Frame | None = None
        self.skipped = 0
        self._n_taken = 0
        self._picker = picker
        self._bell = bell
        self._buffers = buffers
        self._source: Source
        if camera.live or frames == "newest":
            self._source = Mailbox(camera, bell, keep=frames, buffers=buffers)
        else:
            self._source = Sequential(camera, buffers)

    @property
    def n_given(self) -> int:
        """Frames that the camera gave so far; some may be under way."""
        return self._n_taken + self._source.dropped

    @property
    def dropped(self) -> int:
        """Frames that nobody took: a newer one has replaced them, or they came when the run had ended."""
        return self._source.dropped

    def __enter__(self) -> Inlet:
        """Begin to read the camera."""
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the camera."""
        self._source.__exit__(kind, error, traceback)

    def waits_since(self) -> float | None:
        """Since when something waits to be taken, on `time.monotonic`'s clock; None where nothing does."""
        due_s = self._picker.due_s()
        if due_s is not None and due_s <= time.monotonic():
            return due_s
        return self._source.waits_since()

    def due_s(self) -> float | None:
        """When a trigger will have waited for too long, on `time.monotonic`'s clock; None where none waits."""
        return self._picker.due_s()

    def take(self) -> Picked | None:
        """Take what waits: the frame, or the unanswered trigger, that gets the next verdict.

        A frame goes before a trigger that is overdue, because it may be the one that came for it in time while the
        thread that judges was busy.

        Returns:
            None where the frame that waited is not to be judged.

        Raises:
            CameraError: The camera was lost, or is silent.
            Exception: Whatever else the camera raises.
        """
        self.gives_frames = False
        picked = self._picked() if self._source.waits_since() is not None else None
        return picked or self._picker.overdue()

    def has_room(self, frame: Frame) -> bool:
        """Whether a frame can be judged now, or must wait until those before it are finished."""
        return self._buffers is None or self._buffers.has_room(frame.data)

    def give_back(self, frame: Frame | None) -> None:
        """Free the buffer in which a frame lies."""
        if self._buffers and frame is not None:
            self._buffers.give_back(frame.data)

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before the camera now. For any thread; returns at once.

        Raises:
            InputError: The camera's frames are not judged on triggers that come as messages.
            CameraError: The camera takes no triggers any more.
        """
        if not isinstance(self._picker, OnTrigger):
            raise InputError(
                f"Camera {trigger.camera} takes no trigger that comes as a message.",
                expected="a camera with trigger http, mqtt or modbus",
                hint="Change its trigger in the recipe, and start the line again.",
            )
        self._picker.fire(trigger)
        self._bell.ring()

    def refuse(self, reason: str) -> list[Picked]:
        """Take no triggers any more; the answers to those that wait.

        Args:
            reason: Why no frame comes for them.
        """
        return self._picker.refuse(reason)

    def _picked(self) -> Picked | None:
        """Take what the camera has, and see whether it is to be judged."""
        frame, damage = self._read()
        if frame is None:
            picked = self._picker.finish()
            self.has_ended = picked is None
            if picked is not None and picked.frame is not None:
                self.skipped -= 1  # it was counted when it came, and not picked then
            return picked
        self.gives_frames = True
        self._n_taken += 1
        self.in_hand = frame
        try:
            picked = self._picker.pick(frame, damage)
        except InputError as misfit:  # the picker cannot look at it: it gets its verdict, NO_DECISION, all the same
            picked = Picked(frame, reason=misfit.what)
        self.in_hand = None
        if picked is None or picked.frame is not frame:
            self.skipped += picked is None  # a frame that was counted earlier is judged instead of this one
            self.give_back(frame)
        return picked

    def _read(self) -> tuple[Frame | None, str]:
        """What the camera has, and what is wrong with it; None at its end."""
        try:
            return self._source.take(), ""
        except UnreadablePictureError as unreadable:
            frame, now_s = unreadable.frame, time.monotonic()
            return replace(frame, captured_monotonic_s=min(frame.captured_monotonic_s, now_s)), unreadable.what
