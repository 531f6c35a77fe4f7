"""Where the loop takes its frames from: a one-slot mailbox that keeps the newest, or one after the other.

A live camera goes on while a frame is being judged. In a queue the old frames would pile up, and every verdict would
speak of a part that is long gone; so a thread reads the camera all the time and keeps the newest frame only.

Where there are buffers (`edgerd.inspection.slots`), frames come in them: a camera that can writes there itself, the
frames of others are copied, by the thread that reads the camera.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import numpy as np

from edgerd.cameras.protocol import LIVE_TIMEOUT_S, Camera, FillingCamera, UnreadablePictureError, silent_camera
from edgerd.inspection.slots import Buffers
from edgerd.types import Frame

STOP_POLL_S = 0.1
JOIN_S = 1.0


class Mailbox:
    """The newest frame of a camera, read by a thread of its own.

    Used as a context manager, which starts and ends the thread.

    Args:
        camera: Closed on leaving.
        silence_s: How long to wait for a frame, whatever the driver thinks of it.
        buffers: Where frames are to lie; None for arrays of the camera's own.

    Attributes:
        dropped: Frames that nobody took: a newer one has replaced them, or they came when the run had ended.
    """

    def __init__(self, camera: Camera, silence_s: float = LIVE_TIMEOUT_S, buffers: Buffers | None = None) -> None:
        self.dropped = 0
        self._camera = camera
        self._reader = _Reader(camera, buffers)
        self._silence_s = silence_s
        self._changed = threading.Condition()
        self._slot: Frame | UnreadablePictureError | None = None
        self._ended = False
        self._error: Exception | None = None
        self._leaving = threading.Event()
        # A daemon: a driver that never returns from its read must not keep the process from ending.
        self._thread = threading.Thread(target=self._capture, name=f"capture {camera.uri}", daemon=True)

    def __enter__(self) -> Mailbox:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._camera.close()
        self._thread.join(JOIN_S)
        self._drop()

    def is_ready(self) -> bool:
        """True where `take` would not wait."""
        with self._changed:
            return self._slot is not None or self._ended

    def take(self, stop: threading.Event, idle: Callable[[], None] | None = None) -> Frame | None:
        """Wait for a frame that was not taken yet.

        Args:
            stop: Set to end the wait.
            idle: Called each `STOP_POLL_S` of the wait.

        Returns:
            The newest frame; None at the end of the source, or when stopped.

        Raises:
            CameraError: The camera was lost, or is silent.
            UnreadablePictureError: In place of one picture; take again.
            Exception: Whatever else the camera raised, once the frames before it are taken.
        """
        deadline = time.monotonic() + self._silence_s
        while not self._arrived(stop, min(deadline - time.monotonic(), STOP_POLL_S)):
            if time.monotonic() >= deadline:
                raise silent_camera(self._camera.uri, self._silence_s)
            if idle:
                idle()
        if stop.is_set():  # although there may be a frame: behind a fast camera there always is
            return None
        with self._changed:
            taken, self._slot = self._slot, None
        if isinstance(taken, UnreadablePictureError):
            raise taken
        if taken is None and self._error is not None:
            raise self._error
        return taken

    def _arrived(self, stop: threading.Event, wait_s: float) -> bool:
        with self._changed:
            if not (self._slot or self._ended or stop.is_set()):
                self._changed.wait(max(0.0, wait_s))
            return bool(self._slot or self._ended or stop.is_set())

    def _capture(self) -> None:
        try:
            while not self._leaving.is_set():
                try:
                    item: Frame | UnreadablePictureError | None = self._reader.read()
                except UnreadablePictureError as unreadable:
                    item = unreadable
                if item is None:
                    break
                self._put(item)
        except Exception as error:  # noqa: BLE001 - `take` raises it
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _put(self, item: Frame | UnreadablePictureError) -> None:
        if isinstance(item, Frame) and self._reader.must_copy(item):
            # First, because the frame that it replaces may have the only buffer that a camera gets.
            self._drop()
            item = self._reader.buffered(item)
        with self._changed:
            self._drop()
            self._slot = item
            self._changed.notify()
            if self._leaving.is_set():  # nobody will take it, nor empty the slot again
                self._drop()

    def _drop(self) -> None:
        with self._changed:
            older, self._slot = self._slot, None
            self.dropped += older is not None
        if isinstance(older, Frame):
            self._reader.give_back(older)


class Sequential:
    """Every frame of a camera, one after the other, read when it is wanted; the same methods as `Mailbox`.

    Args:
        camera: Closed on leaving.
        buffers: As for `Mailbox`.
    """

    dropped = 0

    def __init__(self, camera: Camera, buffers: Buffers | None = None) -> None:
        self._camera = camera
        self._reader = _Reader(camera, buffers)

    def __enter__(self) -> Sequential:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._camera.close()

    def is_ready(self) -> bool:
        """True for files: reading is work there, not waiting."""
        return not self._camera.live

    def take(self, stop: threading.Event, idle: Callable[[], None] | None = None) -> Frame | None:
        """Read the next frame; as `Mailbox.take`, but never idle."""
        del idle
        frame = None if stop.is_set() else self._reader.read()
        return self._reader.buffered(frame) if frame and self._reader.must_copy(frame) else frame


class _Reader:
    """Reads a camera's frames into buffers, where there are any."""

    def __init__(self, camera: Camera, buffers: Buffers | None) -> None:
        self._camera = camera
        self._filling = camera if isinstance(camera, FillingCamera) else None
        self._buffers = buffers

    def read(self) -> Frame | None:
        """The next frame, in a buffer where the camera can write to one and one is free."""
        buffer = self._buffers.lend() if self._buffers and self._filling else None
        if buffer is None or self._buffers is None or self._filling is None:
            return self._camera.read()
        frame = None
        try:
            frame = self._filling.read_into(buffer)
        finally:
            if frame is None or not self._buffers.holds(frame.data):
                self._buffers.give_back(buffer)
        return frame

    def must_copy(self, frame: Frame) -> bool:
        """Whether there are buffers, and this frame is in none."""
        return self._buffers is not None and not self._buffers.holds(frame.data)

    def buffered(self, frame: Frame) -> Frame:
        """The frame in a buffer; itself where none is free, or they have another shape."""
        buffer = self._buffers.lend() if self._buffers else None
        if buffer is None or self._buffers is None:
            return frame
        if buffer.shape != frame.data.shape:
            self._buffers.give_back(buffer)
            return frame
        np.copyto(buffer, frame.data)
        return replace(frame, data=buffer)

    def give_back(self, frame: Frame) -> None:
        """Free the buffer of a frame that nobody wants."""
        if self._buffers:
            self._buffers.give_back(frame.data)
