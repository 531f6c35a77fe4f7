"""A GStreamer pipeline in a process of its own, whose raw video comes through a pipe."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from edgerd.errors import MissingDependencyError
from edgerd.types import PixelFormat

PROGRAM = "gst-launch-1.0"
FORMATS = {"NV12": PixelFormat.NV12, "YUY2": PixelFormat.YUYV, "BGR": PixelFormat.BGR, "GRAY8": PixelFormat.GREY}
"""GStreamer's name to ours."""

_SINK = "edgerd"
_CAPS = re.compile(rf":{_SINK}\.GstPad:sink: caps = (.*)")
_FIELD = re.compile(r"\b(width|height|format)=\(\w+\)(\w+)")
_ERROR = re.compile(
    r"(?:ERROR: from element \S+|ERROR: pipeline could not be constructed|WARNING: erroneous pipeline): (.*)"
)
_PIPE_BYTES = 1 << 20
"""Size of the pipe: as much as an ordinary user may ask for, so that a frame needs few reads."""
_STOP_S = 2.0
"""For a pipeline to end by itself: Jetson's camera service may hang after one that was killed."""


@dataclass(frozen=True)
class VideoCaps:
    """What frames a pipeline gives.

    Attributes:
        pixel_format: How the bytes of a frame are laid out.
        height: Rows of the picture.
        width: Columns of the picture.
    """

    pixel_format: PixelFormat
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame's data, uint8."""
        return self.pixel_format.shape(self.height, self.width)

    @property
    def is_padded(self) -> bool:
        """Whether GStreamer leaves bytes between rows or planes, whose sizes it rounds up to 4 bytes, and 2 rows."""
        row_bytes = self.shape[1] * (self.shape[2] if len(self.shape) == 3 else 1)
        return row_bytes % 4 != 0 or (self.pixel_format is PixelFormat.NV12 and self.height % 2 != 0)

    @property
    def demand(self) -> str:
        """These caps as an element of a pipeline, which then gives nothing else."""
        name = next(name for name, pixel_format in FORMATS.items() if pixel_format is self.pixel_format)
        return f"video/x-raw,format=(string){name},width=(int){self.width},height=(int){self.height}"

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format.value}"


class PipelineProcess:
    """A running pipeline.

    Args:
        elements: What `gst-launch-1.0` takes, up to raw video.
        demanded: What it must give, or fail; None for whatever it gives first.

    Attributes:
        elements: What `gst-launch-1.0` was given.
        pipe: File descriptor from which frames are read, one behind the other; ends with the pipeline.
        agreed: Set once the elements have agreed on their formats, or never will.
        caps: What frames come; None before that is agreed, and where such frames cannot be used.
        has_changed: Other frames come by now than `caps` says.
        complaint: What the pipeline, or we, have against it; empty where nothing.

    Raises:
        MissingDependencyError: GStreamer's tools are not installed.
    """

    def __init__(self, elements: Sequence[str], demanded: VideoCaps | None = None) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise MissingDependencyError(
                f"There is no {PROGRAM}, which reads this camera.",
                hint="sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good",
            )
        self.elements = tuple(elements)
        self.agreed = threading.Event()
        self.caps: VideoCaps | None = None
        self.has_changed = False
        self.complaint = ""
        self._is_interrupted = False
        self.pipe, theirs = os.pipe()
        with contextlib.suppress(OSError, AttributeError):  # the default is smaller, no less right
            fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        demand = () if demanded is None else ("!", demanded.demand)
        sink = (*demand, "!", "fdsink", f"name={_SINK}", f"fd={theirs}", "sync=false")
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [program, "--verbose", *self.elements, *sink],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs,),
                start_new_session=True,  # Ctrl-C is for us, who end it
                text=True,
                errors="replace",
                env=os.environ | {"LC_ALL": "C", "GST_DEBUG_NO_COLOR": "1"},
            )
        except BaseException:
            os.close(self.pipe)
            raise
        finally:
            os.close(theirs)
        self._listener = threading.Thread(target=self._listen, name=f"{PROGRAM} {self._process.pid}", daemon=True)
        self._listener.start()

    def interrupt(self) -> None:
        """Ask it to end; safe to call twice, and from any thread."""
        if not self._is_interrupted and self._process.poll() is None:
            self._is_interrupted = True
            self._process.send_signal(signal.SIGINT)

    def close_pipe(self) -> None:
        """Nothing will be read any more, for which a full pipe would wait; safe to call twice."""
        pipe, self.pipe = self.pipe, -1
        if pipe >= 0:
            os.close(pipe)

    def join(self) -> None:
        """Wait for its end; safe to call twice, and from any thread."""
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_STOP_S)

    def _listen(self) -> None:
        """Read what it says, to its end."""
        assert self._process.stdout is not None  # noqa: S101 -- a pipe was asked for
        with self._process.stdout as lines:
            for line in lines:
                if caps := _CAPS.search(line):
                    self._take(caps[1])
                elif complaint := _ERROR.match(line):
                    self.complaint = self.complaint or complaint[1].rstrip(".\n")
        code = self._process.wait()
        if not self.complaint and not self._is_interrupted:
            self.complaint = _last_words(code)
        self.agreed.set()

    def _take(self, text: str) -> None:
        found = dict(_FIELD.findall(text))
        name = found.get("format", text.split(",")[0])
        caps = VideoCaps(FORMATS[name], int(found["height"]), int(found["width"])) if name in FORMATS else None
        if self.agreed.is_set():
            if caps != self.caps:
                self.has_changed, self.complaint = True, f"it gives {caps or name}"
        elif caps is None:
            self.complaint = f"it gives {name}"
        elif caps.is_padded:
            self.complaint = f"{caps} has padding between its rows"
        else:
            self.caps = caps
        self.agreed.set()


def _last_words(code: int) -> str:
    if code < 0:
        return f"{PROGRAM} was ended by signal {-code}"
    return f"{PROGRAM} ended with exit code {code}" if code else "its source gives no more frames"
