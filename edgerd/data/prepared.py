"""Reads and prepares many pictures at once, and takes the limits of brightness and contrast from them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from edgerd.bundle.manifest import PictureLimits, PreprocessSpec
from edgerd.data.aspect import without_padding
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import prepare
from edgerd.errors import DatasetError, PictureError, SpecError
from edgerd.types import UInt8Array

_READ_AHEAD = 2
"""Pictures per thread that are in memory beside the result."""


@dataclass(frozen=True, slots=True)
class SkippedPicture:
    """A picture that could not be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPictures:
    """Pictures at the graph's size.

    Attributes:
        paths: The files that were read, in the order in which they were given.
        pictures: uint8 (len(paths), tiles, H, W, 3), BGR.
        skipped: The files that could not be read.
        limits: The brightness and contrast that a frame must have to be judged, taken from these pictures.
        sizes: Width and height of each file that was read, in pixels.
    """

    paths: tuple[Path, ...]
    pictures: UInt8Array
    skipped: tuple[SkippedPicture, ...]
    limits: PictureLimits
    sizes: tuple[tuple[int, int], ...]


def read_prepared(paths: Sequence[Path], spec: PreprocessSpec, *, strict: bool = False) -> PreparedPictures:
    """Read and prepare pictures, several at a time; memory is that of the result and a few pictures.

    Args:
        paths: Picture files.
        spec: The preprocessing.
        strict: Raise at the first picture that cannot be read, instead of leaving it out.

    Raises:
        PictureError: A picture cannot be read, with `strict`.
        SpecError: Region or tiles do not fit a picture; its file is named.
        DatasetError: None of the pictures can be read.
    """
    pictures = np.empty((len(paths), spec.n_tiles, spec.height, spec.width, 3), np.uint8)
    kept: list[Path] = []
    sizes: list[tuple[int, int]] = []
    skipped: list[SkippedPicture] = []
    for path, outcome in zip(paths, _in_order(paths, spec), strict=True):
        if isinstance(outcome, PictureError):
            if strict:
                raise outcome
            skipped.append(SkippedPicture(path, outcome.what))
        else:
            pictures[len(kept)], size = outcome
            kept.append(path)
            sizes.append(size)
    if not kept:
        raise DatasetError(
            f"None of {len(paths)} pictures can be read" + (f": {skipped[0].reason}" if skipped else "."),
            expected="pictures of good parts",
            hint="Check the folder.",
        )
    read = pictures[: len(kept)]
    limits = picture_limits(without_padding(picture, spec) for picture in read)
    return PreparedPictures(tuple(kept), read, tuple(skipped), limits, tuple(sizes))


def grey_level_statistics(tiles: UInt8Array) -> tuple[float, float]:
    """Mean and standard deviation of a picture's grey levels, 0 to 255.

    Args:
        tiles: uint8 (..., H, W, 3), BGR: the tiles of one picture, as `prepare` gives them, without padding.
    """
    grey = cv2.cvtColor(tiles.reshape(-1, tiles.shape[-2], 3), cv2.COLOR_BGR2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    return float(mean[0, 0]), float(deviation[0, 0])


def picture_limits(pictures: Iterable[UInt8Array]) -> PictureLimits:
    """How dark, bright or flat a frame may be and still be judged.

    The mean grey level may come half way nearer to black than that of the darkest good picture, and half way nearer to
    white than the brightest one's; the contrast may be a quarter of the smallest one's. A stop of light more or less
    stays inside for most parts, and each good picture does; a capped, covered or blown-out camera does not.

    Args:
        pictures: Good pictures, uint8 (tiles, H, W, 3) each, as `prepare` gives them, without padding.

    Raises:
        DatasetError: There are none.
    """
    statistics = [grey_level_statistics(picture) for picture in pictures]
    if not statistics:
        raise DatasetError("There are no pictures to take limits from.", expected="pictures of good parts")
    means, deviations = zip(*statistics, strict=True)
    return PictureLimits(
        mean_low=min(means) / 2,
        mean_high=(max(means) + 255) / 2,
        contrast_low=min(deviations) / 4,
    )


_Read: TypeAlias = tuple[UInt8Array, tuple[int, int]] | PictureError
"""A prepared picture, and the width and height of its file; or why it cannot be read."""


def _in_order(paths: Sequence[Path], spec: PreprocessSpec) -> Iterator[_Read]:
    """Prepare pictures ahead in threads (OpenCV releases the GIL), but only a few more than have been taken."""
    n_threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool:
        ahead: deque[Future[_Read]] = deque()
        for path in paths:
            ahead.append(pool.submit(_read_one, path, spec))
            if len(ahead) > _READ_AHEAD * n_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _read_one(path: Path, spec: PreprocessSpec) -> _Read:
    try:
        bgr = read_picture(path)
        return prepare(bgr, spec), (bgr.shape[1], bgr.shape[0])
    except PictureError as error:
        return error
    except SpecError as error:
        raise SpecError(f"{path}: {error.what}", expected=error.expected, hint=error.hint) from error
