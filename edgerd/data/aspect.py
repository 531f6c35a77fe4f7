"""What becomes of a picture whose aspect ratio is not that of the graph's input: `PreprocessSpec.aspect`.

`stretch`    Width and height are scaled each by its own factor. A round part is round in the graph only if the picture
             has the graph's aspect ratio.
`crop`       The region is cut down to its largest part, in its centre, whose tiles have the graph's aspect ratio. What
             is cut off is not inspected. From there on it is as with `stretch`.
`letterbox`  Each tile is scaled by one factor to fit the graph's input, and lies in the middle of it. The rest, half on
             the left and half on the right, or half above and half below, is padding of the colour `PADDING_BGR`.

Padding is known by its colour. Otherwise one would have to keep beside each prepared picture how much of it is padding,
through files, quantization and every runtime. So no pixel of a picture has this colour: `keep_from_padding` makes a
pixel that happens to have it one grey level bluer. The graph sets its anomaly map to 0 wherever its input has the
colour, before it takes the score (`edgerd.exporting.graph`); so every engine, every threshold and every check see the
same score, and padding has no part in it.

`PADDING_BGR` is the mean colour of ImageNet's pictures, because padding should excite a teacher as little as a colour
can. A teacher that subtracts this mean (the ResNets) sees 0 to within 0.01 there, like the zeros with which a
convolution pads a picture; one that subtracts mid grey (`lite0`) sees 0 to -0.18. Black or white would be 1 to 2 away
from 0, and the border between picture and padding often the strongest edge of all.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec
from edgerd.types import BoolArray, Box, UInt8Array

PADDING_BGR: Final = (104, 116, 124)
"""255 times ImageNet's mean (0.485, 0.456, 0.406 for R, G, B), rounded. Bundles depend on it: it never changes."""
_BESIDE_PADDING_BGR: Final = (105, 116, 124)


def shown_region(region: RegionSpec, spec: PreprocessSpec) -> RegionSpec:
    """The part of a region that the tiles cover together: with `crop` its centre, else all of it.

    Args:
        region: The spec's region, or the whole frame where it has none; in frame pixels.
        spec: The preprocessing.
    """
    if spec.aspect != "crop":
        return region
    # A tile is region / (n - (n - 1) overlap) along each axis, so that the region's own ratio is that of the graph
    # times these two numbers.
    across = spec.width * _tiles_side_by_side(spec.tiles.columns, spec.tiles.overlap)
    down = spec.height * _tiles_side_by_side(spec.tiles.rows, spec.tiles.overlap)
    width = min(region.width, max(1, round(region.height * across / down)))
    height = min(region.height, max(1, round(region.width * down / across)))
    return RegionSpec(
        x=region.x + (region.width - width) // 2,
        y=region.y + (region.height - height) // 2,
        width=width,
        height=height,
    )


def inside_box(tile: Box, spec: PreprocessSpec) -> Box:
    """Where a tile lies in the graph's input: with `letterbox` in its middle, else it fills all of it.

    Args:
        tile: The tile, in frame pixels; its place does not matter.
        spec: The preprocessing.

    Returns:
        In pixels of the graph's input, which are those of its anomaly map. At least one side is as long as the input's.
    """
    if spec.aspect != "letterbox":
        return Box(0, 0, spec.width, spec.height)
    width = min(spec.width, max(1, _rounded(tile.width * spec.height, tile.height)))
    height = min(spec.height, max(1, _rounded(tile.height * spec.width, tile.width)))
    return Box((spec.width - width) // 2, (spec.height - height) // 2, width, height)


def keep_from_padding(picture: UInt8Array) -> None:
    """Make pixels that have the padding's colour one grey level bluer, in place.

    Args:
        picture: uint8 (h, w, 3), BGR; may be a part of a larger array.
    """
    same = cv2.inRange(picture, PADDING_BGR, PADDING_BGR)
    if cv2.countNonZero(same):
        picture[same > 0] = _BESIDE_PADDING_BGR


def is_picture(tiles: UInt8Array) -> BoolArray:
    """Where prepared tiles show the picture: uint8 (..., H, W, 3), made with `letterbox` -> bool (..., H, W)."""
    differs: BoolArray = (tiles != np.array(PADDING_BGR, np.uint8)).any(axis=-1)
    return differs


def picture_box(tile: UInt8Array) -> Box:
    """Where a prepared tile shows the picture, found by the padding's colour.

    Args:
        tile: uint8 (H, W, 3), BGR, prepared with `letterbox`.

    Returns:
        The same as `inside_box` gives for the frame that the tile was cut from.
    """
    height, width = tile.shape[:2]
    down, across = tile[:, (width - 1) // 2], tile[(height - 1) // 2]  # through the picture, be it one pixel thin
    (top, bottom), (left, right) = _span(is_picture(down)), _span(is_picture(across))
    return Box(left, top, right - left, bottom - top)


def without_padding(tiles: UInt8Array, spec: PreprocessSpec) -> UInt8Array:
    """The tiles of one frame without their padding.

    Args:
        tiles: uint8 (T, H, W, 3), BGR, prepared with `spec`.
        spec: The preprocessing.

    Returns:
        uint8 (T, h, w, 3), a view; all of it unless the spec says `letterbox`.
    """
    if spec.aspect != "letterbox":
        return tiles
    rows, columns = window(picture_box(tiles[0]))  # all tiles of a frame have one size
    return tiles[:, rows, columns]


def window(box: Box) -> tuple[slice, slice]:
    """The rows and columns of a box."""
    return slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)


def _tiles_side_by_side(n: int, overlap: float) -> float:
    """How many tiles' lengths n tiles cover together."""
    return n - (n - 1) * overlap


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient, rounded to the nearest integer, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _span(shows: BoolArray) -> tuple[int, int]:
    """The first index that is True, and the one behind the last."""
    found = np.flatnonzero(shows)
    return int(found[0]), int(found[-1]) + 1
