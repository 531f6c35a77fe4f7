"""Cameras of this machine, through OpenCV."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgerd.cameras.closing import Handle
from edgerd.cameras.ffmpeg_decoder import BgrConverter, Damage, JpegDecoder
from edgerd.cameras.options import options_in
from edgerd.cameras.protocol import LIVE_TIMEOUT_S, damaged_frame, silent_camera
from edgerd.cameras.times import CaptureClock, Moment
from edgerd.errors import CameraError
from edgerd.types import Frame, PixelFormat, UInt8Array

RETRY_INTERVAL_S = 0.02
"""A driver that fails at once (an unplugged camera) is asked again after this long."""

_NO_PIXELS = np.empty((0, 0, 3), np.uint8)
_JPEG_FORMATS = ("MJPG", "JPEG")
_MANUAL_EXPOSURE = 1
"""V4L2_EXPOSURE_MANUAL (linux/v4l2-controls.h)."""
_EXPOSURE_UNIT_US = 100
"""The unit of V4L2_CID_EXPOSURE_ABSOLUTE, in microseconds."""
_MAX_DIGITS = 9
_PROPERTIES = {
    "width": cv2.CAP_PROP_FRAME_WIDTH,
    "height": cv2.CAP_PROP_FRAME_HEIGHT,
    "fps": cv2.CAP_PROP_FPS,
    "exposure_us": cv2.CAP_PROP_EXPOSURE,
    "buffers": cv2.CAP_PROP_BUFFERSIZE,
}


class DeviceOptions(BaseModel):
    """What may stand behind the `?`; what is left out stays as the driver has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    fps: float | None = Field(default=None, gt=0)
    """Frames per second."""
    format: str | None = Field(default=None, pattern=r"^[A-Z0-9]{4}$")
    """Four letters as V4L2 has them: MJPG, YUYV, NV12, GREY, ..."""
    exposure_us: int | None = Field(default=None, ge=100, multiple_of=100)
    """Microseconds; sets the exposure to manual."""
    buffers: int | None = Field(default=None, ge=1, le=10)
    """Frames that the driver holds."""
    process: bool = False
    """1 to read it in a process of its own, which is killed where its driver hangs; see `device_process`."""

    @model_validator(mode="after")
    def _check_size(self) -> DeviceOptions:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        return self


def device_options(uri: str) -> DeviceOptions:
    """The options in a URI.

    Raises:
        InputError: There is no such option, or it cannot have this value.
    """
    return options_in(uri, DeviceOptions, "device://0?width=1920&height=1080&fps=30&format=MJPG")


class DeviceCamera:
    """A camera of this machine.

    Where the camera sends JPEG pictures, OpenCV hands them over as they come: decoding them itself, it would show a
    picture that was cut short as a whole one. Uncompressed pictures that are incomplete are dropped by Linux
    (uvcvideo's `nodrop` is 0 by default).

    Args:
        uri: `0`, `/dev/video0`, `/dev/v4l/by-id/...` or `device://0`, with `?OPTION=VALUE&...` or without; see
            `DeviceOptions`.
        timeout_s: How long it may stay silent.

    Raises:
        InputError: There is no such option, or it cannot have this value.
        CameraError: It does not open, or does not take an option.
    """

    live = True
    fixed_size = True
    n_frames: int | None = None

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
        self.uri = uri
        self._timeout_s = timeout_s
        self._number = 0
        self._clock = CaptureClock()
        options = device_options(uri)
        self._capture = _opened(uri.partition("?")[0])
        self._handle = Handle(self._capture.release)
        try:
            _configure(self._capture, uri, options)
        except BaseException:
            self._handle.close()
            raise
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
        """Read the next frame into memory that fits it, as `FillingCamera.read_into` describes."""
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
        arrived = Moment.now()
        # V4L2 states when the driver got the frame's first bytes, on the clock of `time.monotonic`.
        stated_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        captured = self._clock.captured(arrived, arrived.monotonic_s - stated_s)
        picture = self._picture(buffer)
        data = _NO_PIXELS if isinstance(picture, Damage) else picture
        frame = Frame(
            data=data,
            pixel_format=PixelFormat.GREY if data.ndim == 2 else PixelFormat.BGR,
            number=self._number,
            captured_at=captured.at,
            captured_monotonic_s=captured.monotonic_s,
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
    # A number that is too large for OpenCV is that of no device.
    device = int(address) if address.isdecimal() and len(address) < _MAX_DIGITS else address
    with _quiet_opencv():
        capture = cv2.VideoCapture(device, backend)
    if not capture.isOpened():
        raise CameraError(
            f"Camera {uri} does not open.",
            expected="a video device that this user may read and that no other program holds",
            hint="ls -l /dev/video*   lists the devices; reading one takes membership in the group 'video'.",
        )
    return capture


def _configure(capture: cv2.VideoCapture, uri: str, options: DeviceOptions) -> None:
    """Set what is asked for, in the order in which one depends on another.

    Raises:
        CameraError: The driver does not take some of it, and what it gives instead.
    """
    # Few buffers, where the driver lets us choose, so that frames are new. With one, the driver has none to fill while
    # a frame is decoded, and gives half as many.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, options.buffers or 2)
    if options.format is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.format))
    if options.width is not None and options.height is not None:  # OpenCV sets the size with the second of them
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.height)
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    if options.exposure_us is not None:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL_EXPOSURE)
        capture.set(cv2.CAP_PROP_EXPOSURE, options.exposure_us / _EXPOSURE_UNIT_US)
    asked = options.model_dump(exclude_none=True, exclude={"process"})
    given = {name: _setting(capture, name) for name in asked}
    refused = [name for name in asked if not _agrees(asked[name], given[name])]
    if refused:
        raise CameraError(
            f"Camera {uri} does not take {', '.join(f'{name}={asked[name]}' for name in refused)}.",
            expected=f"what it gives instead: {', '.join(f'{name}={given[name]}' for name in refused)}",
            hint="v4l2-ctl --list-formats-ext --list-ctrls   prints what a camera can do.",
        )


def _setting(capture: cv2.VideoCapture, name: str) -> int | float | str:
    """What the driver gives of an option."""
    if name == "format":
        return _format(capture)
    value = float(capture.get(_PROPERTIES[name]))
    value *= _EXPOSURE_UNIT_US if name == "exposure_us" else 1
    return round(value) if value == round(value) else value


def _agrees(asked: float | str, given: float | str) -> bool:
    if isinstance(asked, str) or isinstance(given, str):
        return asked == given
    return abs(given - asked) <= 0.01 * asked if isinstance(asked, float) else given == asked  # 29.97 is 30


def _format(capture: cv2.VideoCapture) -> str:
    """The four letters of the format that the driver gives."""
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")


def _gives_jpeg(capture: cv2.VideoCapture) -> bool:
    """Whether the camera sends JPEG pictures and the driver hands them over undecoded; asks it to."""
    return _format(capture) in _JPEG_FORMATS and bool(capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Without OpenCV's own warnings about a source that does not open: our error says it."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
