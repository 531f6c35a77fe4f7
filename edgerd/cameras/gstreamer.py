"""Cameras that GStreamer reads: those at a Jetson's CSI connectors, and whatever a pipeline of one's own gives.

The pipeline is a process of its own, and its frames come through a pipe. So OpenCV need not be compiled with GStreamer
(its wheels are not), a driver that crashes takes no inspection with it, and frames stay in the camera's own pixel
format: half the bytes of BGR, read from the pipe to where the GPU finds them, converted by its kernel.
"""

from __future__ import annotations

import os
import select
import shlex
import time

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edgerd.cameras.closing import Handle
from edgerd.cameras.gstreamer_process import FORMATS, PROGRAM, PipelineProcess, VideoCaps
from edgerd.cameras.options import address_in, options_in
from edgerd.cameras.protocol import LIVE_TIMEOUT_S, silent_camera
from edgerd.errors import CameraError, InputError
from edgerd.redaction import pipeline_without_secrets, without_secrets
from edgerd.types import Frame, UInt8Array

_POLL_S = 0.1


class GStreamerCamera:
    """The frames of a pipeline, live: one that ends is lost.

    A frame's bytes do not say how wide it is, and what the pipeline says of that comes another way, sooner or later
    than they do. So the pipeline must not be able to change it: it is started once to learn what it gives, then again
    with exactly that demanded of it. One whose last element states format, width and height is started once.

    Args:
        uri: `gst://` and a pipeline as `gst-launch-1.0` takes it, up to raw video in NV12, YUY2, BGR or GRAY8.
        timeout_s: How long it may take to start, and stay silent.

    Raises:
        InputError: The pipeline cannot be read.
        MissingDependencyError: GStreamer's tools are not installed.
        CameraError: The pipeline does not run, or gives something else.
    """

    live = True
    fixed_size = True
    n_frames: int | None = None
    _needs = ""

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
        self.uri = without_secrets(uri)
        self._timeout_s = timeout_s
        self._number = 0
        elements = self._elements(uri)
        self._start(elements, None)
        self._caps = self._agreed()
        if not self._is_settled(elements):
            self.close()
            self._start(elements, self._caps)
            self._agreed()

    def read(self) -> Frame | None:
        """The next frame; None once closed.

        Raises:
            CameraError: Nothing came in time, the pipeline ended or failed, or gives other frames than at first.
        """
        return self.read_into(np.empty(self._caps.shape, np.uint8))

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """Read the next frame into memory that fits it, as `FillingCamera.read_into` describes."""
        if buffer.shape != self._caps.shape:
            return self.read()
        with self._handle.reading():
            times = None if self._handle.closed.is_set() else self._fill(buffer.data.cast("B"))
        if self._handle.closed.is_set():
            return None
        if times is None:
            self._process.join()
            raise self._unusable("has ended")
        if self._process.has_changed:
            raise self._unusable(f"no longer gives {self._caps}")
        number, self._number = self._number, self._number + 1
        return Frame(
            data=buffer,
            pixel_format=self._caps.pixel_format,
            number=number,
            captured_at=times[0],
            captured_monotonic_s=times[1],
            source=self.uri,
        )

    def close(self) -> None:
        """End the pipeline; a read in another thread returns None."""
        self._handle.closed.set()
        self._process.interrupt()
        self._handle.close()
        self._process.join()

    def _start(self, elements: list[str], caps: VideoCaps | None) -> None:
        self._process = PipelineProcess(elements, caps)
        self._handle = Handle(self._process.close_pipe)

    def _is_settled(self, elements: list[str]) -> bool:
        """Whether the pipeline itself says what it gives, so that it cannot give anything else."""
        last = elements[-1]
        return last.startswith("video/x-raw") and all(f"{name}=" in last for name in ("format", "width", "height"))

    def _elements(self, uri: str) -> list[str]:
        """The pipeline of a URI."""
        try:
            elements = shlex.split(uri.partition("://")[2])
        except ValueError as error:
            raise InputError(
                f"{without_secrets(uri)} cannot be read: {error}.", hint="Close the quotation marks."
            ) from error
        if not elements:
            raise InputError(
                f"{uri} names no pipeline.",
                expected=f"what {PROGRAM} takes, up to raw video",
                hint="For example: --camera 'gst://v4l2src device=/dev/video0 ! video/x-raw,format=YUY2'",
            )
        return elements

    def _agreed(self) -> VideoCaps:
        """What the pipeline gives, once its elements have agreed on it; closes it where they do not."""
        try:
            return self._awaited_caps()
        except BaseException:
            self.close()
            raise

    def _awaited_caps(self) -> VideoCaps:
        if not self._process.agreed.wait(self._timeout_s):
            raise silent_camera(self.uri, self._timeout_s)
        if self._process.caps is None:
            raise self._unusable("does not open")
        return self._process.caps

    def _fill(self, left: memoryview) -> tuple[float, float] | None:
        """Read a frame; Unix and monotonic time of its first bytes, None where the pipeline ended or was closed."""
        times: tuple[float, float] | None = None
        deadline = time.monotonic() + self._timeout_s
        while left:
            if not select.select([self._process.pipe], [], [], _POLL_S)[0]:
                if self._handle.closed.is_set():
                    return None
                if time.monotonic() >= deadline:
                    raise silent_camera(self.uri, self._timeout_s)
                continue
            times = times or (time.time(), time.monotonic())
            n = os.readv(self._process.pipe, [left])
            if n == 0:
                return None
            left = left[n:]
        return times

    def _unusable(self, how: str) -> CameraError:
        by_hand = " ".join(element if element == "!" else shlex.quote(element) for element in self._process.elements)
        return CameraError(
            f"{self.uri} {how}: {without_secrets(self._process.complaint) or 'it gives no video'}.",
            expected=f"raw video of one size, in one of {', '.join(FORMATS)}, until it is stopped",
            hint=f"Try it by hand: {PROGRAM} {pipeline_without_secrets(by_hand)} ! fakesink{self._needs}",
        )


class CsiOptions(BaseModel):
    """What may stand behind the `?` of `csi://0`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=1920, ge=16, multiple_of=4)
    height: int = Field(default=1080, ge=16, multiple_of=2)
    fps: int = Field(default=30, ge=1)
    """Frames per second, of a mode that the sensor has; `v4l2-ctl --list-formats-ext` prints these."""
    flip: int = Field(default=0, ge=0, le=7)
    """`flip-method` of nvvidconv; 2 turns by 180 degrees."""


class CsiCamera(GStreamerCamera):
    """A camera at a CSI connector of a Jetson, through NVIDIA's image processor: NV12, the newest frame only.

    Args:
        uri: `csi://NUMBER?OPTION=VALUE&...`; see `CsiOptions`.
        timeout_s: How long it may take to start, and stay silent.

    Raises:
        InputError: The URI names no camera, or there is no such option.
        MissingDependencyError: GStreamer's tools are not installed.
        CameraError: The camera does not open.
    """

    def _is_settled(self, elements: list[str]) -> bool:  # noqa: ARG002 -- they are ours, and state the sensor's mode
        return True

    _needs = (
        "\nnvarguscamerasrc and nvvidconv are JetPack's (nvidia-l4t-gstreamer); a container also needs "
        "-v /tmp/argus_socket:/tmp/argus_socket"
    )

    def _elements(self, uri: str) -> list[str]:
        number = address_in(uri)
        options = options_in(uri, CsiOptions, "csi://0?width=1280&height=720&fps=60")
        if not number.isdecimal():
            raise InputError(f"{uri} names no camera.", expected="its number", hint="--camera csi://0")
        sensor = f"video/x-raw(memory:NVMM),format=NV12,width={options.width},height={options.height}"
        return [
            *("nvarguscamerasrc", f"sensor-id={number}", "!", f"{sensor},framerate={options.fps}/1", "!"),
            *("nvvidconv", f"flip-method={options.flip}", "!", "video/x-raw,format=NV12", "!"),
            *("queue", "leaky=downstream", "max-size-buffers=1"),
        ]
