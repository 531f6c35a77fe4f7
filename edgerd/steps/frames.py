"""Take varied frames out of a video, or from a camera, as pictures to train on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cameras import Camera, camera_kind, open_camera
from edgerd.cameras.protocol import early_end
from edgerd.cameras.watching import Watch
from edgerd.data.pictures import write_png
from edgerd.data.prepared import grey_level_statistics
from edgerd.data.preprocess import bgr_from_frame
from edgerd.errors import CameraError, InputError
from edgerd.paths import exists
from edgerd.storage import is_taken, storage_errors
from edgerd.types import Frame, UInt8Array

COUNT: Final = 200
"""How many pictures are taken unless another number is given: the default method needs 99 to settle a false-alarm rate
of 1 %, and more train no worse."""
_COMPARED_AT: Final = 128
"""Frames are compared as grey pictures of this side, px: less would average a texture away."""
_NEARLY_SAME: Final = 3.0
"""Two frames whose small pictures differ by less than this show the same thing: root mean square, grey levels."""
_NO_CONTRAST: Final = 1.0
"""A frame whose grey levels vary by less than this shows nothing: a covered lens, no light, one colour."""


@dataclass
class TakenFrames:
    """What became of the frames of a video or camera.

    Attributes:
        folder: Where the pictures are.
        files: Names of the pictures, in the order in which they were taken.
        n_read: How many frames were looked at.
        left_out: Why frames were left out, and how many for each reason; reasons without any are not there.
        early_end: A sentence about a video that ended before it should have; empty where it did not.
    """

    folder: Path
    files: list[str] = field(default_factory=list)
    n_read: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    early_end: str = ""


@dataclass(frozen=True)
class Spread:
    """How the pictures that are wanted are spread.

    Attributes:
        count: How many at most; None for as many as there are.
        every_s: Seconds from one to the next; None to spread `count` evenly over the video, or the minutes.
        minutes: How long a live camera is watched.
    """

    count: int | None = COUNT
    every_s: float | None = None
    minutes: float = 10.0


def take_frames(
    uri: str,
    folder: Path,
    spread: Spread,
    *,
    frames_per_s: float | None = None,
    say: Callable[[str], None] = lambda _: None,
    on_frame: Callable[[int, int, int | None], None] = lambda _read, _taken, _announced: None,
    stop: threading.Event | None = None,
) -> TakenFrames:
    """Write frames as PNG, spread over time, without those that are nearly the same as one that was taken.

    A frame that is left out for what it shows is made up for by the next one that shows something else. Whole frames
    are written: a region is a matter of training. What was written before an error, or before `stop`, stays.

    Args:
        uri: A video, a camera, or a folder of pictures.
        folder: Where the pictures go; new or empty. They are called by their time: in a video by the time since its
            beginning, from a live camera by date and time in UTC, where there is no time by the frame's number.
        spread: How many pictures, and how far apart.
        frames_per_s: Of a video; None where its frames have no times, which then are counted.
        say: Told of the first few damaged frames, a line each.
        on_frame: Told after each frame how many were looked at, how many taken, and how many there will be; the last
            is None where that is not known.
        stop: Set, from any thread, to end with what there is.

    Raises:
        InputError: The folder holds something; seconds are given and the frames have no times; or files gave nothing.
        CameraError: It does not open or was lost, or gave nothing.
        StorageError: Disk full or no permission.
    """
    _refuse_taken(folder)
    camera = open_camera(uri)
    taken = TakenFrames(folder)
    clock = _Clock(camera, uri, frames_per_s)
    try:
        watch = Watch(
            camera,
            clock.interval(spread),
            minutes=spread.minutes,
            say=say,
            moment_s=None if camera.live else clock.moment,
            stop=stop,
            on_frame=lambda: on_frame(watch.n_read, len(taken.files), camera.n_frames),
        )
        try:
            _take(watch, clock, taken, spread.count)
        finally:
            taken.n_read = watch.n_read
            _count(taken, "arrived damaged, or cannot be read", watch.n_damaged)
            _count(taken, "between two that were taken", watch.n_between)
    finally:
        camera.close()
    if watch.has_ended:
        taken.early_end = early_end(camera, watch.n_read)
    if not taken.files and not (stop and stop.is_set()):
        raise (CameraError if camera.live else InputError)(
            f"{camera.uri} gave no frame that shows something; {watch.n_read} were looked at.",
            expected="whole frames of parts",
            hint="Check light and lens, and give more --minutes." if camera.live else "Choose another video.",
        )
    return taken


def _take(watch: Watch, clock: _Clock, taken: TakenFrames, count: int | None) -> None:
    seen = _Seen()
    spec = PreprocessSpec()  # for the colours of formats that are not BGR
    for frame in watch.due_frames():
        bgr = bgr_from_frame(frame, spec)
        _, contrast = grey_level_statistics(bgr)
        if contrast < _NO_CONTRAST:
            _count(taken, "black, or of one colour", 1)
        elif not seen.is_new(bgr):
            _count(taken, "nearly the same as one that was taken", 1)
        else:
            name = f"{clock.name(frame)}.png"
            if exists(taken.folder / name):  # the machine's clock was set back, or frames come faster than it counts
                name = f"{clock.name(frame)}_{frame.number}.png"
            write_png(taken.folder / name, bgr)
            taken.files.append(name)
            watch.took()
            if len(taken.files) == count:
                return


def _count(taken: TakenFrames, reason: str, n: int) -> None:
    if n:
        taken.left_out[reason] = taken.left_out.get(reason, 0) + n


class _Clock:
    """When a frame was, and what a picture of that moment is called.

    The unit is the second, or, for files whose frames have no times, one frame.

    Args:
        camera: Gives the frames.
        uri: As it was typed.
        frames_per_s: As for `take_frames`.
    """

    def __init__(self, camera: Camera, uri: str, frames_per_s: float | None) -> None:
        self._camera = camera
        self._rate = frames_per_s
        is_file = camera_kind(uri) == "video"
        self._prefix = f"{Path(uri.removeprefix('video://')).stem}_" if is_file else ""

    def interval(self, spread: Spread) -> float:
        """From one picture to the next.

        Raises:
            InputError: Seconds are given, and the frames have no times.
        """
        camera = self._camera
        if spread.every_s is not None:
            if not camera.live and self._rate is None:
                raise InputError(
                    f"The frames of {camera.uri} have no times, so --every {spread.every_s:g} cannot be used.",
                    expected="a video that says how many frames it has in a second, or a live camera",
                    hint="Leave --every out; --count N spreads N pictures over all frames.",
                )
            return spread.every_s
        if spread.count is None:
            return 0.0
        if camera.live:
            return spread.minutes * 60.0 / spread.count
        # a pipe does not say how much will come through it; what is nearly the same is left out in any case
        return (camera.n_frames or 0) / (self._rate or 1.0) / spread.count

    def moment(self, frame: Frame) -> float:
        """When a frame of a file was, from its beginning."""
        return frame.number / (self._rate or 1.0)

    def name(self, frame: Frame) -> str:
        """What the picture is called: names in alphabetical order are in the order of time."""
        if self._camera.live:
            at = datetime.fromtimestamp(frame.captured_at, timezone.utc)
            return f"{at:%Y-%m-%dT%H-%M-%S}.{at.microsecond // 1000:03}Z"
        if self._rate is None:
            return f"{self._prefix}{frame.number:06}"
        milliseconds = round(1000 * self.moment(frame))
        seconds, milliseconds = divmod(milliseconds, 1000)
        return f"{self._prefix}{seconds // 3600:02}-{seconds // 60 % 60:02}-{seconds % 60:02}.{milliseconds:03}"


class _Seen:
    """The frames that were taken, each as a small grey picture, to tell whether another one shows the same."""

    def __init__(self) -> None:
        self._small: list[UInt8Array] = []

    def is_new(self, bgr: UInt8Array) -> bool:
        """Whether a frame, uint8 (h, w, 3), shows what none before it did; it then counts as taken."""
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        side = _COMPARED_AT
        small = np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        # the latest first: it is the one that a frame is most likely to be like
        if any(cv2.norm(small, other) < _NEARLY_SAME * side for other in reversed(self._small)):
            return False
        self._small.append(small)
        return True


def _refuse_taken(folder: Path) -> None:
    with storage_errors(folder, "Choose another folder with -o."):
        taken = is_taken(folder)
    if taken:
        raise InputError(
            f"{folder} has files in it, or is a file.",
            expected="a new or empty folder",
            hint="Choose another with -o.",
        )
