"""What a run shows: each frame with its heatmap and verdict, in a window or in a video."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import av
import cv2
from av.container import OutputContainer
from av.video.stream import VideoStream

from edgerd.cli.console import quoted, warn
from edgerd.data.preprocess import bgr_from_frame, tile_boxes
from edgerd.errors import InputError, MissingDependencyError
from edgerd.evaluation.heatmap import overlay
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Update
from edgerd.line.observer import Observer
from edgerd.storage import storage_errors
from edgerd.types import UInt8Array, Verdict

_BGR = {Verdict.OK: (80, 170, 60), Verdict.NG: (40, 40, 220), Verdict.NO_DECISION: (0, 190, 240)}
_SAVED_FPS = 10
_FRAMES_THAT_WAIT = 8
_CODECS: dict[str, tuple[Literal["mpeg4", "mjpeg"], str]] = {
    ".mp4": ("mpeg4", "yuv420p"),
    ".avi": ("mjpeg", "yuvj420p"),
}
"""By the file's suffix: FFmpeg's encoder, and the pixel format that it takes."""
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

    It is drawn and written in a thread of its own: a disk that hangs loses frames of a live camera, which are counted,
    and holds no verdict up. Every write is checked: OpenCV's writer believes them all. Where one fails, the frames from
    then on are counted and left out, a warning says so, and the run goes on.

    Raises:
        InputError: The file's name ends in neither .mp4 nor .avi.
        StorageError: The file cannot be written.
    """

    def __init__(self, file: Path) -> None:
        if file.suffix.lower() not in _CODECS:
            raise InputError(
                f"{file} cannot be written as a video.",
                expected=f"a name that ends in {' or '.join(_CODECS)}",
                hint=f"--save-video {quoted(file.with_suffix('.mp4'))}",
            )
        with storage_errors(file, "Choose another file for --save-video."), file.open("wb"):
            self._file = file
        self._video: tuple[OutputContainer, VideoStream] | None = None
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
        """Write what waits, what the encoder holds back, and the index without which an MP4 cannot be read."""
        if not self._frames.close() or self._video is None:
            return
        container, stream = self._video
        with self._checked():
            if not self._reason:
                container.mux(stream.encode())
        with self._checked():
            container.close()

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
            self._append(picture)

    def _append(self, picture: UInt8Array) -> None:
        self._video = self._video or self._open(picture.shape[1], picture.shape[0])
        container, stream = self._video
        if (picture.shape[1], picture.shape[0]) != (stream.width, stream.height):
            picture = cv2.resize(picture, (stream.width, stream.height)).astype("uint8")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))

    def _open(self, width: int, height: int) -> tuple[OutputContainer, VideoStream]:
        codec, pixel_format = _CODECS[self._file.suffix.lower()]
        # Each frame goes to the file at once: in a buffer it would count as written when the disk has long been full.
        container = av.open(str(self._file), "w", options={"flush_packets": "1"})
        stream = container.add_stream(codec, rate=_SAVED_FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.bit_rate = width * height * _SAVED_FPS
        return container, stream

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Note the first failure of a write; the frame at which it shows counts as lost."""
        try:
            yield
        except av.FFmpegError as error:
            if not self._reason:
                self._reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
                self._n_lost = max(self._n_lost, 1)
                warn(f"{self._file} could not be written: {self._reason}. The run goes on without it.")


def annotated(update: Update, inspector: Inspector) -> UInt8Array | None:
    """The frame with its heatmap, regions and verdict, uint8 (h, w, 3) BGR; None where there is no picture."""
    if not update.frame.data.size:
        return None
    inspection, spec = update.inspection, inspector.spec
    picture = bgr_from_frame(update.frame, spec)
    if inspection.anomaly_map is None:
        picture = picture.copy()
    else:
        tiles = tile_boxes(picture.shape[0], picture.shape[1], spec)
        picture = overlay(
            picture, inspection.anomaly_map, inspection.threshold, tiles=tiles, regions=inspection.regions
        )
    score = inspection.reason if inspection.score is None else f"{inspection.score:.3f}"
    _banner(picture, f"{inspection.verdict.value} {score}", _BGR[inspection.verdict])
    return picture


def _banner(picture: UInt8Array, text: str, colour: tuple[int, int, int]) -> None:
    scale = max(0.4, picture.shape[1] / 900)
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = height // 2
    cv2.rectangle(picture, (0, 0), (width + 2 * margin, height + baseline + margin), colour, cv2.FILLED)
    origin = (margin, height + margin // 2 + 1)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
