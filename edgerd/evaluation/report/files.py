"""The report's pictures in their files."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgerd.evaluation.heatmap import mask_overlay, overlay
from edgerd.evaluation.report.content import Example
from edgerd.paths import is_file
from edgerd.storage import folder_for, sync, write_durably
from edgerd.types import Box, UInt8Array

PICTURES = "report-pictures"
"""The folder of the pictures, inside the report's. Files in it that are called as the report calls them are its own."""
_NAMES = "[0-9]*-*.jpg"
_LARGE_PX = (480, 1000)
"""The longer side of a large picture lies between these: smaller ones are enlarged, so that outlines can be seen."""
_SMALL_PX = 240
"""The longer side of a picture in the list."""


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Where the files of a picture are, and how large its small one is.

    Attributes:
        plain: The picture as it is; this and the next three are relative to the page, with "/".
        heatmap: The picture under its anomaly map.
        mask: The picture with its defect outlined; None where nobody drew a mask.
        small: A small `heatmap` for the list.
        small_size: Width and height of `small` in pixels.
    """

    plain: str
    heatmap: str
    mask: str | None
    small: str
    small_size: tuple[int, int]


@contextlib.contextmanager
def new_pictures(folder: Path) -> Iterator[list[PictureFiles]]:
    """Give a list for what `write_pictures` writes in the block; pictures of an earlier report stay as they are.

    After an error they stay alone, and those that were written are removed.

    Args:
        folder: The report's folder.

    Raises:
        OSError: The disk refuses the folder of the pictures.
    """
    with folder_for(folder / PICTURES):
        before = {file.name for file in (folder / PICTURES).glob(_NAMES)}
        try:
            yield []
        except BaseException:
            with contextlib.suppress(OSError):
                _remove_all_but(folder, before)
            raise


def write_pictures(folder: Path, index: int, example: Example, scale: float) -> PictureFiles:
    """Write the files of one picture into `folder`/`PICTURES`.

    A file's name has a hash of its content, so that the page of an earlier report never shows a picture of this one.

    Args:
        folder: The report's folder.
        index: The picture's number, with which the names of its files begin.
        example: What is drawn.
        scale: The threshold that the heatmap's colours depend on.

    Raises:
        OSError: They cannot be written.
        InputError: The example has not one map per tile.
    """
    picture, tiles = _at_report_size(example.picture, example.tiles)
    heatmap = overlay(picture, example.anomaly_map, scale, tiles=tiles)
    small = _resized(heatmap, _SMALL_PX / max(heatmap.shape[:2]))

    def write(kind: str, bgr: UInt8Array) -> str:
        content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
        name = f"{index:05}-{kind}-{hashlib.sha256(content).hexdigest()[:8]}.jpg"
        file = folder / PICTURES / name
        if not (is_file(file) and file.read_bytes() == content):  # else the page that is there shows it
            write_durably(file, content)
        return f"{PICTURES}/{name}"

    return PictureFiles(
        plain=write("picture", picture),
        heatmap=write("heatmap", heatmap),
        mask=None if example.mask is None else write("mask", mask_overlay(picture, example.mask)),
        small=write("small", small),
        small_size=(small.shape[1], small.shape[0]),
    )


def sync_pictures(folder: Path) -> None:
    """Wait until the names of the pictures are on the disk, so that a page may show them.

    Raises:
        OSError: The disk refuses it.
    """
    sync(folder / PICTURES)


def remove_others(folder: Path, written: Sequence[PictureFiles]) -> None:
    """Remove the pictures of earlier reports in the same folder, which the page does not show.

    Raises:
        OSError: They cannot be removed.
    """
    shown = {name for files in written for name in (files.plain, files.heatmap, files.mask, files.small) if name}
    _remove_all_but(folder, {name.removeprefix(f"{PICTURES}/") for name in shown})


def _remove_all_but(folder: Path, kept: Collection[str]) -> None:
    for file in (folder / PICTURES).glob(_NAMES):
        if file.name not in kept:
            file.unlink()


def _at_report_size(picture: UInt8Array, tiles: Sequence[Box]) -> tuple[UInt8Array, list[Box]]:
    """A picture and its tiles at the report's size, so that outlines are equally thick in all pictures."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    resized = _resized(picture, min(max(longer, _LARGE_PX[0]), _LARGE_PX[1]) / longer)
    across, down = resized.shape[1] / width, resized.shape[0] / height
    boxes = []
    for tile in tiles:
        left, top = round(tile.x * across), round(tile.y * down)
        right, bottom = round((tile.x + tile.width) * across), round((tile.y + tile.height) * down)
        boxes.append(Box(left, top, max(1, right - left), max(1, bottom - top)))
    return resized, boxes


def _resized(picture: UInt8Array, factor: float) -> UInt8Array:
    height, width = picture.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), np.uint8)
