"""Industrial cameras: GenICam over GigE Vision or USB3 Vision, read by Aravis (https://aravisproject.github.io/aravis/).

docs/decisions/genicam.md says why by a process of its own, and not by Aravis's element for GStreamer.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import unquote

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edgerd.cameras import genicam_helper
from edgerd.cameras.closing import Handle
from edgerd.cameras.genicam_process import HelperProcess, Place, Record
from edgerd.cameras.options import address_in, options_in
from edgerd.cameras.protocol import LIVE_TIMEOUT_S, damaged_frame, lost_camera, silent_camera
from edgerd.cameras.times import CaptureClock, Moment
from edgerd.errors import CameraError, MissingDependencyError
from edgerd.types import Frame, PixelFormat, UInt8Array

PIXEL_FORMATS: Final[dict[str, int | None]] = {
    "Mono8": None,
    "BGR8": None,
    "RGB8": cv2.COLOR_RGB2BGR,
    "BayerRG8": cv2.COLOR_BayerRGGB2BGR,
    "BayerGR8": cv2.COLOR_BayerGRBG2BGR,
    "BayerBG8": cv2.COLOR_BayerBGGR2BGR,
    "BayerGB8": cv2.COLOR_BayerGBRG2BGR,
}
"""GenICam's name to OpenCV's conversion to BGR; None where frames are used as they come."""

SEARCH_EVERY_S: Final = 10.0
"""So often the network is searched for a camera that does not come back to the address that it had."""
_OPEN_TIMEOUT_S = 10.0
_PATIENCE_S = 4.0
"""With Aravis's own 2.5 s, and a search of the network, less than opening may take."""
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


class GenicamOptions(BaseModel):
    """What may stand behind the `?`; what is left out stays as the camera has it, but for the trigger."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    exposure_us: float | None = Field(default=None, gt=0)
    """Microseconds; sets the exposure to manual."""
    gain: float | None = None
    """In the camera's unit, as a rule dB; sets the gain to manual."""
    fps: float | None = Field(default=None, gt=0)
    """Frames per second of a camera that runs freely."""
    pixel_format: str | None = None
    """Mono8, BGR8, RGB8, or BayerRG8, BayerGR8, BayerBG8, BayerGB8, from which BGR is made."""
    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    offset_x: int | None = Field(default=None, ge=0)
    offset_y: int | None = Field(default=None, ge=0)
    """The part of the sensor that is read."""
    trigger: str | None = Field(default=None, min_length=1)
    """`software`, or a line of the camera, such as `Line1`; without it the camera runs freely."""


class GenicamCamera:
    """A camera that Aravis finds.

    A frame of which packets were lost is damaged. A camera that waits for a trigger may be silent for as long as it
    likes; it is lost when it no longer answers (GigE Vision: about 5 s after its cable was pulled), or when it answers
    that nobody controls it, as one does that was switched off and on.

    Args:
        uri: `genicam://CAMERA?OPTION=VALUE&...`, CAMERA being a serial number, Aravis's id, a hardware address or an IP
            address, which is found fastest, or nothing where there is one camera only; see `GenicamOptions`.
        timeout_s: How long a camera that runs freely may stay silent.
        place: Where it was, which is tried first; None where that is not known.
        patience_s: How long a camera that does not answer at its address is waited for.

    Raises:
        InputError: There is no such option, or it cannot have this value.
        MissingDependencyError: Aravis is not installed.
        CameraError: There is no such camera, or it does not take an option; the error names what it takes.
    """

    live = True
    fixed_size = True
    n_frames: int | None = None

    def __init__(
        self, uri: str, timeout_s: float = LIVE_TIMEOUT_S, *, place: Place | None = None, patience_s: float = 0.0
    ) -> None:
        self.uri = uri
        self._timeout_s = timeout_s
        self._number = 0
        self._clock = CaptureClock()
        options = options_in(uri, GenicamOptions, "genicam://SERIAL?exposure_us=500&pixel_format=Mono8&trigger=Line1")
        self._trigger = options.trigger
        name = unquote(address_in(uri))
        wanted = options.model_dump(exclude_none=True)
        self._process = HelperProcess(name, wanted, list(PIXEL_FORMATS), place, patience_s)
        self._handle = Handle(self._process.release)
        self._search_s: float | None = None
        try:
            opened = self._opened()
        except BaseException:
            self.close()
            raise
        self._pixel_format = str(opened["pixel_format"])
        self._place = Place(opened["address"], opened["serial"]) if opened["address"] else None

    def reopen(self) -> GenicamCamera:
        """Open the camera once more, after this one was lost: at the address that it had, without a search.

        A search of the network takes a second or more, in which a camera that is back would have to wait. So one that
        does not answer at its address is searched for every `SEARCH_EVERY_S` only: it may have got another address.

        Raises:
            CameraError: It is not there, or it is another one.
        """
        now_s = time.monotonic()
        if self._search_s is None:
            self._search_s = now_s + SEARCH_EVERY_S
        is_searched_for = now_s >= self._search_s
        if is_searched_for:
            self._search_s = now_s + SEARCH_EVERY_S
        place = self._place and replace(self._place, is_sure=not is_searched_for)
        return GenicamCamera(self.uri, self._timeout_s, place=place, patience_s=_PATIENCE_S)

    @property
    def triggered(self) -> bool:
        """Whether the camera waits for a trigger."""
        return self._trigger is not None

    def trigger(self) -> None:
        """Have a picture taken, which the next `read` gives.

        Raises:
            CameraError: The camera runs freely, or waits for a signal at one of its lines.
        """
        if self._trigger is None or self._trigger.lower() != "software":
            raise CameraError(
                f"Camera {self.uri} takes no software trigger.",
                expected="trigger=software in its URI",
                hint="It runs freely." if self._trigger is None else f"It waits for a signal at {self._trigger}.",
            )
        self._process.trigger()

    def read(self) -> Frame | None:
        """The next frame; None once closed.

        Raises:
            CameraError: The camera was lost, or one that runs freely is silent.
            UnreadablePictureError: Parts of this frame were lost on the way.
        """
        return self._read(None)

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """Read the next frame into memory that fits it, as `FillingCamera.read_into` describes."""
        return self._read(buffer)

    def close(self) -> None:
        """Have the camera given back; a read in another thread returns None."""
        self._handle.closed.set()  # first, so that a read takes what comes of it for an end
        self._process.end()
        self._handle.close()

    def _opened(self) -> dict[str, Any]:
        """Wait for the camera; what the helper says of it."""
        try:
            record = self._process.next_record(_OPEN_TIMEOUT_S)
        except TimeoutError:
            raise silent_camera(self.uri, _OPEN_TIMEOUT_S) from None
        if record is None or record.kind != genicam_helper.OPENED:
            raise self._failure(record)
        return cast("dict[str, Any]", json.loads(self._payload(record)))

    def _read(self, buffer: UInt8Array | None) -> Frame | None:
        with self._handle.reading():
            if self._handle.closed.is_set():
                return None
            try:
                record = self._next_record()
                return None if record is None else self._frame(record, buffer)
            except TimeoutError:
                error = silent_camera(self.uri, self._timeout_s)
            except CameraError as lost:
                error = lost
            self._process.end()  # of a frame that came in part the rest is not taken for another
            if self._handle.closed.is_set():  # nobody waits for a frame any more
                return None
            raise error

    def _next_record(self) -> Record | None:
        """The next frame's record, whole or damaged; None once closed."""
        began_s = time.monotonic()
        while not self._handle.closed.is_set():
            record = self._process.next_record(self._timeout_s)
            if record is None or record.kind == genicam_helper.ERROR:
                raise self._failure(record)
            if record.kind != genicam_helper.ALIVE:
                return record
            if not self.triggered and time.monotonic() - began_s > self._timeout_s:
                raise TimeoutError
        return None

    def _frame(self, record: Record, buffer: UInt8Array | None) -> Frame:
        arrived = Moment.now()
        captured = self._clock.captured(arrived, arrived.at - record.camera_at, arrived.at - record.system_at)
        data = self._picture(record, buffer)
        frame = Frame(
            data=_NO_PIXELS if isinstance(data, str) else data,
            pixel_format=PixelFormat.GREY if self._pixel_format == "Mono8" else PixelFormat.BGR,
            number=self._number,
            captured_at=captured.at,
            captured_monotonic_s=captured.monotonic_s,
            source=self.uri,
        )
        self._number += 1
        if isinstance(data, str):
            raise damaged_frame(frame, data)
        return frame

    def _picture(self, record: Record, buffer: UInt8Array | None) -> UInt8Array | str:
        """The picture of a record, BGR or grey, in the buffer where it fits; what is wrong with it instead."""
        if record.kind == genicam_helper.DAMAGED:
            return self._payload(record).decode()
        is_colour = self._pixel_format in ("RGB8", "BGR8")
        shape = (record.height, record.width, 3) if is_colour else (record.height, record.width)
        if record.n_bytes != np.prod(shape):
            n_bytes = len(self._payload(record))
            return f"it has {n_bytes} bytes instead of {np.prod(shape)}"
        conversion = PIXEL_FORMATS[self._pixel_format]
        if conversion is None and buffer is not None and buffer.shape == shape:
            self._fill(buffer)
            return buffer
        picture = np.empty(shape, np.uint8)
        self._fill(picture)
        if conversion is None:
            return picture
        is_fitting = buffer is not None and buffer.shape == (record.height, record.width, 3)
        return np.asarray(cv2.cvtColor(picture, conversion, buffer if is_fitting else None), np.uint8)

    def _payload(self, record: Record) -> bytes:
        payload = np.empty(record.n_bytes, np.uint8)
        self._fill(payload)
        return payload.tobytes()

    def _fill(self, array: UInt8Array) -> None:
        if not self._process.fill(array.data.cast("B"), self._timeout_s):
            raise self._failure(None)

    def _failure(self, record: Record | None) -> CameraError | MissingDependencyError:
        """The error that the helper tells, or that it has ended without telling one."""
        if record is None:
            return lost_camera(self.uri, "the process that reads it has ended", self._number)
        told = json.loads(self._payload(record))
        kind = MissingDependencyError if told["is_missing"] else CameraError
        return kind(
            f"Camera {self.uri}: {told['what']}.",
            expected=told["expected"] or "frames until the run is stopped",
            hint=told["hint"],
        )
