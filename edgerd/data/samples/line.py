"""A line of sample parts passing a triggered camera: one picture per part, as a stream or as a video file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from edgerd.data.samples.part import SamplePart
from edgerd.data.samples.render import defects_of, render
from edgerd.data.samples.seeds import Stream, check_seed, part_seed
from edgerd.errors import InputError, SpecError, StorageError

_FPS = 10.0
_CODECS = ((cv2.CAP_FFMPEG, "FFV1"), (cv2.CAP_OPENCV_MJPEG, "MJPG"))
"""Backend and codec, best first. FFV1 loses nothing, so that scores are those of still pictures; an OpenCV without
FFmpeg still writes motion JPEG, whose chroma subsampling moves them. In both every frame stands alone."""


@dataclass(frozen=True, slots=True)
class LinePart:
    """A part that passes the camera.

    Attributes:
        index: Its number on the line, from 0.
        part: The picture of it, and where it is defective.
    """

    index: int
    part: SamplePart


@dataclass(frozen=True, slots=True)
class LineRecord:
    """What one frame of a video shows.

    Attributes:
        frame: Number of the frame, from 0.
        part: Index of the part in it; the same number, since the camera is triggered by the part.
        defect: Name of its defect; None for a good part.
    """

    frame: int
    part: int
    defect: str | None


def line_parts(
    kind: str, n_parts: int | None, defective: float | Collection[int], seed: int = 0, size: int = 256
) -> Iterator[LinePart]:
    """Parts as they pass the camera, each made when it is taken. None is in any data set of `write_dataset`.

    Args:
        kind: One of `KINDS`.
        n_parts: How many; None for an endless line.
        defective: Probability that a part is defective, or the indices of the defective ones. Defects take turns.
        seed: Every seed is another line.
        size: Width and height in pixels, 64 to 1024.

    Raises:
        InputError: There is no such kind; the probability, an index or the seed cannot be used.
        SpecError: The size is out of range, at the first part.
    """
    defects = defects_of(kind)
    is_defective = _chooser(n_parts, defective, check_seed(seed))

    def parts() -> Iterator[LinePart]:
        n_defective = 0
        for index in count() if n_parts is None else range(n_parts):
            defect = None
            if is_defective(index):
                defect = defects[n_defective % len(defects)]
                n_defective += 1
            yield LinePart(index, render(kind, part_seed(Stream.LINE, seed, index), defect, size))

    return parts()


def write_video(
    path: Path,
    kind: str,
    n_parts: int = 60,
    n_defective: int = 10,
    seed: int = 0,
    size: int = 256,
) -> tuple[LineRecord, ...]:
    """Record a line: a video with one frame per part, and beside it `<path>.json` that says what is in each frame.

    The frames are, to the pixel, what `line_parts` gives (motion JPEG of it where OpenCV comes without FFmpeg).

    Args:
        path: File to write, ending in .avi; folders on the way are made.
        kind: One of `KINDS`.
        n_parts: How many parts pass.
        n_defective: How many of them are defective, anywhere on the line; defects take turns.
        seed: Every seed is another line.
        size: Width and height in pixels, 64 to 1024.

    Returns:
        One record per frame.

    Raises:
        InputError: There is no such kind, more defective parts than parts, or a name that does not end in .avi.
        SpecError: The size is out of range, or odd, which video codecs do not take.
        StorageError: The disk is full, or the file cannot be written.
    """
    if path.suffix.lower() != ".avi":
        raise InputError(f"{path} cannot be written.", expected="a name that ends in .avi", hint=path.stem + ".avi")
    if not 0 <= n_defective <= n_parts or n_parts == 0:
        raise InputError(f"{n_defective} of {n_parts} parts cannot be defective.", expected="one part, or more")
    if size % 2:
        raise SpecError(f"A video cannot be {size} pixels wide.", expected="an even number", hint=f"{size + 1}")
    order = np.random.Generator(np.random.PCG64(check_seed(seed))).permutation(n_parts)
    defective = frozenset(order[:n_defective].tolist())
    parts = line_parts(kind, n_parts, defective, seed, size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        records = _record(path, parts, size)
        frames = [{"frame": record.frame, "part": record.part, "defect": record.defect} for record in records]
        about = {"video": path.name, "kind": kind, "seed": seed, "fps": _FPS, "size": size, "frames": frames}
        path.with_name(path.name + ".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise _not_written(path, error.strerror or str(error)) from error
    return records


def _chooser(n_parts: int | None, defective: float | Collection[int], seed: int) -> Callable[[int], bool]:
    """A function that says of each part, asked in order of the indices, whether it is defective."""
    if isinstance(defective, Collection):
        indices = frozenset(defective)
        outside = [index for index in indices if index < 0 or (n_parts is not None and index >= n_parts)]
        if outside:
            raise InputError(f"Part {min(outside)} is not on the line.", expected=f"0 to {n_parts} - 1")
        return indices.__contains__
    if not 0.0 <= defective <= 1.0:
        raise InputError(f"The probability of a defect is {defective}.", expected="0 to 1")
    rng = np.random.Generator(np.random.PCG64(seed))
    return lambda _index: bool(rng.random() < defective)


def _record(path: Path, parts: Iterator[LinePart], size: int) -> tuple[LineRecord, ...]:
    writer = _open_writer(path, size)
    records = []
    try:
        for line_part in parts:
            writer.write(line_part.part.picture)
            records.append(LineRecord(line_part.index, line_part.index, line_part.part.defect))
    finally:
        writer.release()
    # The writer does not report a full disk, so the frames are counted.
    video = cv2.VideoCapture(str(path))
    n_frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    if n_frames != len(records):
        raise _not_written(path, f"{n_frames} of {len(records)} frames are in it")
    return tuple(records)


def _open_writer(path: Path, size: int) -> cv2.VideoWriter:
    for backend, codec in _CODECS:
        writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter.fourcc(*codec), _FPS, (size, size), isColor=True)
        if writer.isOpened():
            return writer
    raise _not_written(path, "OpenCV cannot open it")


def _not_written(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"{path} could not be written: {reason}.",
        expected="a writable folder with space left",
        hint="Free some space or choose another folder.",
    )
