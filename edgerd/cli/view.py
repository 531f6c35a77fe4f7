"""What a run shows: each frame with its heatmap and verdict, in a window or in a video."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import cv2

from edgerd.cli.console import quoted
from edgerd.data.preprocess import bgr_from_frame, tile_boxes
from edgerd.errors import InputError, MissingDependencyError, StorageError
from edgerd.evaluation.heatmap import overlay
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.loop import Update
from edgerd.types import UInt8Array, Verdict

_BGR = {Verdict.OK: (80, 170, 60), Verdict.NG: (40, 40, 220), Verdict.NO_DECISION: (0, 190, 240)}
_SAVED_FPS = 10.0
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
_ESC = 27
_OPEN_A_WINDOW = "import cv2; cv2.namedWindow('edgerd')"


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

    def update(self, update: Update, inspector: Inspector) -> None:
        """Show a frame."""
        picture = annotated(update, inspector)
        if picture is None:
            return
        cv2.imshow("edgerd", picture)
        if cv2.waitKey(1) & 0xFF in (ord("q"), _ESC):
            self._stop.set()


class Recorder:
    """A video of the annotated frames; a context manager. Its size is the first frame's.

    Raises:
        InputError: The file's name ends in neither .mp4 nor .avi.
        StorageError: At the first frame, where the file cannot be written.
    """

    def __init__(self, file: Path) -> None:
        if file.suffix.lower() not in _CODECS:
            raise InputError(
                f"{file} cannot be written as a video.",
                expected=f"a name that ends in {' or '.join(_CODECS)}",
                hint=f"--save-video {quoted(file.with_suffix('.mp4'))}",
            )
        self._file = file
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.release()

    def update(self, update: Update, inspector: Inspector) -> None:
        """Append a frame."""
        picture = annotated(update, inspector)
        if picture is None:
            return
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            self._writer = self._open()
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size).astype("uint8")
        self._writer.write(picture)

    def _open(self) -> cv2.VideoWriter:
        codec = _CODECS[self._file.suffix.lower()]
        writer = cv2.VideoWriter(str(self._file), cv2.VideoWriter.fourcc(*codec), _SAVED_FPS, self._size)
        if not writer.isOpened():
            raise StorageError(
                f"{self._file} cannot be written as a video.",
                expected="a file in a writable folder",
                hint="Choose another file for --save-video.",
            )
        return writer


def annotated(update: Update, inspector: Inspector) -> UInt8Array | None:
    """The frame with its heatmap, regions and verdict, uint8 (h, w, 3) BGR; None where there is no picture."""
    if not update.frame.data.size:
        return None
    inspection, spec = update.inspection, inspector.bundle.manifest.preprocess
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
