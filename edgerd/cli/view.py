"""What a run shows: each frame with its heatmap and verdict, in a window or in a video."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2

from edgerd.cli.console import quoted, warn
from edgerd.cli.video import SUFFIXES, VideoWriter, constant_rate
from edgerd.data.preprocess import bgr_from_frame, tile_boxes
from edgerd.errors import InputError, MissingDependencyError
from edgerd.evaluation.caption import captioned
from edgerd.inspection.inspector import Inspector
from edgerd.line.observer import Observer
from edgerd.line.update import Update
from edgerd.storage import storage_errors
from edgerd.types import UInt8Array

_FRAMES_THAT_WAIT = 8
_RATE_OF_PICTURES = Fraction(10)
"""Frames per second of a video of single pictures, which have no rate."""
_ESC = 27
_OPEN_A_WINDOW = "import cv2; cv2.namedWindow('edgerd')"


class View(Protocol):
    """Shows or records the frames of a run. It watches only: where it fails, the run goes on without it."""

    def update(self, update: Update, inspector: Inspector) -> None:
        """Take in what became of a frame."""
        ...

    @property
    def loss(self) -> str:
        """What it could not take and why, one sentence; empty where it took everything."""
        ...


class Window:
    """A window with the newest frame; `q` or Esc in it sets `stop`.

    Raises:
        MissingDependencyError: OpenCV was built without windows, or there is no screen.
    """

    def __init__(self, stop: threading.Event) -> None:
        # In another process: without a screen, Qt gives no error but ends the process it is in.
        trial = subprocess.run([sys.executable, "-c", _OPEN_A_WINDOW], capture_output=True, check=False)  # noqa: S603
        if trial.returncode:
            raise MissingDependencyError(
                "OpenCV cannot open a window here.",
                expected="a screen, and opencv-python (not opencv-python-headless)",
                hint="Leave --show out; --save-video FILE records the same pictures.",
            )
        self._stop = stop
        self.loss = ""

    def update(self, update: Update, inspector: Inspector) -> None:
        """Show a frame."""
        picture = None if self.loss else annotated(update, inspector)
        if picture is None:
            return
        try:
            cv2.imshow("edgerd", picture)
            key = cv2.waitKey(1) & 0xFF
        except cv2.error as error:
            self.loss = f"The window is gone, the run goes on without it: {error.err or error}."
            warn(self.loss)
            return
        if key in (ord("q"), _ESC):
            self._stop.set()


class Recorder:
    """A video of the annotated frames; a context manager. Its size is the first frame's.

    It is as fast as what it shows: frames of a live camera are shown when they were captured, those of a video at the
    video's rate, single pictures at ten per second. Where frames were dropped, the one before them stays longer.

    It is drawn and written in a thread of its own: a disk that hangs loses frames of a live camera, which are counted,
    and holds no verdict up. Every write is checked: OpenCV's writer believes them all. Where one fails, the frames from
    then on are counted and left out, a warning says so, and the run goes on.

    Raises:
        InputError: The file's name ends in neither .mp4 nor .avi.
        StorageError: The file cannot be written.
    """

    def __init__(self, file: Path) -> None:
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{file} cannot be written as a video.",
                expected=f"a name that ends in {' or '.join(SUFFIXES)}",
                hint=f"--save-video {quoted(file.with_suffix('.mp4'))}",
            )
        with storage_errors(file, "Choose another file for --save-video."), file.open("wb"):
            self._file = file
        self._video: VideoWriter | None = None
        self._rate: Fraction | None = None
        self._began = 0, 0.0  # number and time of the first frame
        self._n_frames = 0
        self._n_lost = 0
        self._reason = ""
        self._frames = Observer(f"video {file}", self._draw, noun="frame", capacity=_FRAMES_THAT_WAIT)

    @property
    def loss(self) -> str:
        """What it could not take and why, one sentence; empty where it took everything."""
        if not self._reason:
            return self._frames.loss
        left = (
            f"{self._n_lost} of {self._n_frames} frames are not in it, and those before may be unreadable"
            if self._n_lost < self._n_frames
            else f"None of {self._n_frames} frames is in it"
        )
        return f"{self._file} could not be written: {self._reason}. {left}."

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits, what the encoder holds back, and the index by which players find their way."""
        if not self._frames.close() or self._video is None:
            return
        with self._checked():
            if not self._reason:
                self._video.finish()
        with self._checked():
            self._video.close()

    def update(self, update: Update, inspector: Inspector) -> None:
        """Take in a frame; it is drawn and written later."""
        if update.frame.data.size:
            frame = replace(update.frame, data=update.frame.data.copy())
            self._frames.put((replace(update, frame=frame), inspector), may_wait=not update.live)

    def _draw(self, shown: tuple[Update, Inspector]) -> None:
        picture = annotated(*shown)
        if picture is None:
            return
        self._n_frames += 1
        if self._reason:
            self._n_lost += 1
            return
        with self._checked():
            self._append(picture, shown[0])

    def _append(self, picture: UInt8Array, update: Update) -> None:
        frame = update.frame
        if self._video is None:
            self._rate = None if update.live else constant_rate(frame.source) or _RATE_OF_PICTURES
            self._video = VideoWriter(self._file, picture.shape[0], picture.shape[1], self._rate)
            self._began = frame.number, frame.captured_monotonic_s
        number, captured_s = self._began
        time_s = frame.captured_monotonic_s - captured_s if self._rate is None else (frame.number - number) / self._rate
        self._video.append(picture, time_s)

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Note the first failure of a write; the frame at which it shows counts as lost, and so does what waited."""
        try:
            yield
        except av.FFmpegError as error:
            if not self._reason:
                self._reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
                self._n_lost = min(self._n_frames, 1 + (self._video.n_waiting if self._video else 0))
                warn(f"{self._file} could not be written: {self._reason}. The run goes on without it.")


def annotated(update: Update, inspector: Inspector) -> UInt8Array | None:
    """The frame with its heatmap, regions and verdict, uint8 (h, w, 3) BGR; None where there is no picture."""
    if not update.frame.data.size:
        return None
    picture = bgr_from_frame(update.frame, inspector.spec)
    has_map = update.inspection.anomaly_map is not None
    tiles = tile_boxes(picture.shape[0], picture.shape[1], inspector.spec) if has_map else ()
    return captioned(picture, update.inspection, tiles=tiles, one_place=True)
