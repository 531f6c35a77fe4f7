"""How a line sees a camera: something that waits to be taken; for files, one frame after the other.

Where there are buffers (`edgerd.inspection.slots`), frames come in them: a camera that can writes there itself, the
frames of others are copied, by the thread that reads the camera.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import Protocol

import numpy as np

from edgerd.cameras.protocol import Camera, FillingCamera
from edgerd.inspection.slots import Buffers
from edgerd.types import Frame


class Source(Protocol):
    """A camera as a line sees it; a context manager, which closes the camera.

    Attributes:
        dropped: Frames that nobody took: a newer one has replaced them, or they came when the run had ended.
    """

    dropped: int

    def __enter__(self) -> Source:
        """Begin to read."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the camera."""
        ...

    def waits_since(self) -> float | None:
        """Since when something waits to be taken, on `time.monotonic`'s clock; None where nothing does."""
        ...

    def take(self) -> Frame | None:
        """What waits. To be called only where something does: nobody waits here.

        Returns:
            The frame; None at the end of the source.

        Raises:
            CameraError: The camera was lost, or is silent.
            UnreadablePictureError: One picture cannot be read; take again.
            Exception: Whatever else the camera raised, once the frames before it are taken.
        """
        ...


class Reader:
    """Reads a camera's frames into buffers, where there are any.

    Args:
        camera: What is read, by one thread.
        buffers: Where frames are to lie; None for arrays of the camera's own.
    """

    def __init__(self, camera: Camera, buffers: Buffers | None) -> None:
        self._camera = camera
        self._filling = camera if isinstance(camera, FillingCamera) else None
        self._buffers = buffers

    def read(self) -> Frame | None:
        """The next frame, in a buffer where the camera can write to one and one is free; None at the end.

        A frame that its driver says was captured in the future was captured now at the latest: with the driver's time
        it would miss no deadline, and would be taken for the answer to triggers that came after it.

        Raises:
            Exception: Whatever the camera raises.
        """
        frame = self._read()
        now_s = time.monotonic()
        if frame is None or frame.captured_monotonic_s <= now_s:
            return frame
        return replace(frame, captured_monotonic_s=now_s)

    def buffered(self, frame: Frame) -> Frame:
        """The frame in a buffer; itself where it lies in one, where none is free, or where they have another shape."""
        if self._buffers is None or self._buffers.holds(frame.data):
            return frame
        buffer = self._buffers.lend()
        if buffer is None:
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

    def _read(self) -> Frame | None:
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


class Sequential:
    """Every frame of a file, one after the other, read when it is wanted: reading is work there, not waiting.

    Args:
        camera: Closed on leaving.
        buffers: Where frames are to lie; None for arrays of the camera's own.

    Attributes:
        dropped: Always 0.
    """

    def __init__(self, camera: Camera, buffers: Buffers | None = None) -> None:
        self.dropped = 0
        self._camera = camera
        self._reader = Reader(camera, buffers)
        self._since_s = time.monotonic()

    def __enter__(self) -> Sequential:
        """There is nothing to begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the camera."""
        self._camera.close()

    def waits_since(self) -> float | None:
        """Since when the next frame could have been read."""
        return self._since_s

    def take(self) -> Frame | None:
        """Read the next frame; None at the end of the file.

        Raises:
            CameraError: The file cannot be read on.
            UnreadablePictureError: One picture cannot be read; take again.
        """
        try:
            frame = self._reader.read()
            return self._reader.buffered(frame) if frame else None
        finally:
            self._since_s = time.monotonic()
