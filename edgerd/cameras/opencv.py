"""Cameras of this machine, through OpenCV."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np

from edgerd.cameras.closing import Handle
from edgerd.cameras.ffmpeg_decoder import BgrConverter, Damage, JpegDecoder
from edgerd.cameras.protocol import LIVE_TIMEOUT_S, damaged_frame, silent_camera
from edgerd.errors import CameraError
from edgerd.types import Frame, PixelFormat, UInt8Array

RETRY_INTERVAL_S = 0.02
"""A driver that fails at once (an unplugged camera) is asked again after this long."""

_NO_PIXELS = np.empty((0, 0, 3), np.uint8)
_JPEG_FORMATS = ("MJPG", "JPEG")


class DeviceCamera:
    """A camera of this machine.

    Where the camera sends JPEG pictures, OpenCV hands them over as they come: decoding them itself, it would show a
    picture that was cut short as a whole one. Uncompressed pictures that are incomplete are dropped by Linux
    (uvcvideo's `nodrop` is 0 by default).

    Args:
        uri: `0`, `/dev/video0`, `/dev/v4l/by-id/...` or `device://0`.
        timeout_s: How long it may stay silent.

    Raises:
        CameraError: It does not open.
    """

    live = True
    fixed_size = True
    n_frames: int | None = None

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
        self.uri = uri
        self._timeout_s = timeout_s
        self._number = 0
        self._capture = _opened(uri)
        self._handle = Handle(self._capture.release)
        # Few, where the driver lets us choose, so that frames are new. With one, the driver has none to fill while a
        # frame is decoded, and gives half as many.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        self._jpegs = JpegDecoder() if _gives_jpeg(self._capture) else None
        self._converter = BgrConverter()

    def read(self) -> Frame | None:
        """The next frame; None once closed.

        Raises:
            CameraError: Nothing came in time. A driver may block longer than that; `Mailbox` does not wait for it.
            UnreadablePictureError: This frame arrived damaged.
        """
        return self._read(None)

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """See `FillingCamera.read_into`."""
        return self._read(buffer)

    def close(self) -> None:
        """Let go of the device: now, or where another thread is reading it, as soon as its read returns."""
        self._handle.close()

    def _read(self, buffer: UInt8Array | None) -> Frame | None:
        deadline = time.monotonic() + self._timeout_s
        while not self._handle.closed.is_set():
            with self._handle.reading():
                if not self._handle.closed.is_set() and self._capture.grab():
                    return self._frame(buffer)
            if time.monotonic() >= deadline and not self._handle.closed.is_set():
                raise silent_camera(self.uri, self._timeout_s)
            self._handle.closed.wait(RETRY_INTERVAL_S)
        return None

    def _frame(self, buffer: UInt8Array | None) -> Frame:
        """The frame that was grabbed."""
        captured_at, captured_monotonic_s = time.time(), time.monotonic()
        picture = self._picture(buffer)
        data = _NO_PIXELS if isinstance(picture, Damage) else picture
        frame = Frame(
            data=data,
            pixel_format=PixelFormat.GREY if data.ndim == 2 else PixelFormat.BGR,
            number=self._number,
            captured_at=captured_at,
            captured_monotonic_s=captured_monotonic_s,
            source=self.uri,
        )
        self._number += 1
        if isinstance(picture, Damage):
            raise damaged_frame(frame, picture.reason)
        return frame

    def _picture(self, buffer: UInt8Array | None) -> UInt8Array | Damage:
        # OpenCV fills the array it is given where that has the frame's shape, else it makes one of its own.
        is_there, received = self._capture.retrieve(None if self._jpegs else buffer)
        if not is_there:
            return Damage("it could not be decoded")
        if self._jpegs is None:
            return np.asarray(received, np.uint8)
        decoded = self._jpegs.decode(np.asarray(received, np.uint8).tobytes())
        return decoded if isinstance(decoded, Damage) else self._converter.convert(decoded, buffer)


def _opened(uri: str) -> cv2.VideoCapture:
    address = uri.removeprefix("device://")
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    with _quiet_opencv():
        capture = cv2.VideoCapture(int(address) if address.isdecimal() else address, backend)
    if not capture.isOpened():
        raise CameraError(
            f"Camera {uri} does not open.",
            expected="a video device that this user may read and that no other program holds",
            hint="ls -l /dev/video*   lists the devices; reading one takes membership in the group 'video'.",
        )
    return capture


def _gives_jpeg(capture: cv2.VideoCapture) -> bool:
    """Whether the camera sends JPEG pictures and the driver hands them over undecoded; asks it to."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True)
    return code.decode("latin-1") in _JPEG_FORMATS and bool(capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Without OpenCV's own warnings about a source that does not open: our error says it."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
