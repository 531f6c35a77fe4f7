"""Cameras that OpenCV opens: devices of this machine, network streams, video files."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgerd.cameras.protocol import LIVE_TIMEOUT_S, silent_camera
from edgerd.errors import CameraError
from edgerd.types import Frame, PixelFormat, UInt8Array

RETRY_INTERVAL_S = 0.02
"""A driver that fails at once (an unplugged camera) is asked again after this long."""


class _Capture:
    """What the three have in common: one `cv2.VideoCapture`, frame numbers, times, and a `close` that never waits."""

    fixed_size = True
    n_frames: int | None = None

    def __init__(self, uri: str, capture: cv2.VideoCapture) -> None:
        self.uri = uri
        self._capture = capture
        self._number = 0
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Let go of the device: now, or where another thread is reading it, as soon as its read returns."""
        self._closed.set()
        # Releasing a capture that another thread is reading crashes some drivers.
        if self._reading.acquire(blocking=False):
            self._capture.release()
            self._reading.release()

    def _next_frame(self, buffer: UInt8Array | None = None) -> Frame | None:
        with self._reading:
            frame = None if self._closed.is_set() else self._grab(buffer)
            if self._closed.is_set():
                self._capture.release()
                return None
            return frame

    def _grab(self, buffer: UInt8Array | None) -> Frame | None:
        if not self._capture.grab():
            return None
        captured_at, captured_monotonic_s = time.time(), time.monotonic()
        # fills the array it is given where that has the frame's shape, else makes one of its own
        decoded, picture = self._capture.retrieve(buffer)
        if not decoded:
            return None
        data = np.asarray(picture, np.uint8)
        frame = Frame(
            data=data,
            pixel_format=PixelFormat.GREY if data.ndim == 2 else PixelFormat.BGR,
            number=self._number,
            captured_at=captured_at,
            captured_monotonic_s=captured_monotonic_s,
            source=self.uri,
        )
        self._number += 1
        return frame


class _LiveCapture(_Capture):
    live = True

    def __init__(self, uri: str, capture: cv2.VideoCapture, timeout_s: float) -> None:
        super().__init__(uri, capture)
        self._timeout_s = timeout_s
        # Few, where the driver lets us choose, so that frames are new. With one, the driver has none to fill while a
        # frame is decoded, and gives half as many.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)

    def read(self) -> Frame | None:
        """The next frame; None once closed.

        Raises:
            CameraError: Nothing came in time. A driver may block longer than that; `Mailbox` does not wait for it.
        """
        return self._read(None)

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """See `FillingCamera.read_into`."""
        return self._read(buffer)

    def _read(self, buffer: UInt8Array | None) -> Frame | None:
        deadline = time.monotonic() + self._timeout_s
        while not self._closed.is_set():
            frame = self._next_frame(buffer)
            if frame is not None:
                return frame
            if time.monotonic() >= deadline and not self._closed.is_set():
                raise silent_camera(self.uri, self._timeout_s)
            self._closed.wait(RETRY_INTERVAL_S)
        return None


class DeviceCamera(_LiveCapture):
    """A camera of this machine.

    Args:
        uri: `0`, `/dev/video0` or `device://0`.
        timeout_s: How long it may stay silent.

    Raises:
        CameraError: It does not open.
    """

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
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
        super().__init__(uri, capture, timeout_s)


class StreamCamera(_LiveCapture):
    """A network camera, read through FFmpeg.

    Args:
        uri: `rtsp://...` or `http://...`.
        timeout_s: How long it may take to connect, and stay silent.

    Raises:
        CameraError: It does not open.
    """

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
        timeout_ms = round(timeout_s * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        with _quiet_opencv():
            capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            raise CameraError(
                f"{without_password(uri)} does not open.",
                expected=f"a video stream that answers within {timeout_s:g} s",
                hint="Check address, port, path, user and password with another player, such as ffplay.",
            )
        super().__init__(without_password(uri), capture, timeout_s)


class VideoFile(_Capture):
    """A video file, every frame of it.

    Args:
        uri: Path, or `video://PATH`.

    Raises:
        CameraError: There is no such file, or it is not a video.
    """

    live = False

    def __init__(self, uri: str) -> None:
        path = Path(uri.removeprefix("video://"))
        if not path.is_file():
            raise CameraError(
                f"There is no camera or file {uri}.",
                expected="0, /dev/video0, csi://0, rtsp://..., http://..., gst://..., a video file, a folder or "
                "glob of pictures, or sample://",
                hint="Check the spelling and the working directory.",
            )
        with _quiet_opencv():
            capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise _broken_video(uri)
        super().__init__(uri, capture)
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.n_frames = announced if announced > 0 else None

    def read(self) -> Frame | None:
        """The next frame, or None at the end.

        Raises:
            CameraError: Not even the first frame can be decoded.
        """
        return self._read(None)

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """See `FillingCamera.read_into`."""
        return self._read(buffer)

    def _read(self, buffer: UInt8Array | None) -> Frame | None:
        frame = self._next_frame(buffer)
        if frame is None and self._number == 0 and not self._closed.is_set():
            raise _broken_video(self.uri)
        return frame


def without_password(uri: str) -> str:
    """A URI that may be logged: `rtsp://user:secret@host/` becomes `rtsp://user:***@host/`."""
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", uri)


def _broken_video(uri: str) -> CameraError:
    return CameraError(
        f"{uri} cannot be decoded as a video.",
        expected="a video file with at least one whole frame",
        hint=f"ffprobe {uri}   says what is in it; copy or record it again.",
    )


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Without OpenCV's own warnings about a source that does not open: our error says it."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
