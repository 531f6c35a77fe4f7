"""Masks: areas of the frame that are not inspected, carried over to the anomaly map.

A mask is drawn in pixels of the frame; the map has its own, smaller ones, tile by tile. A map pixel is left out where
all the frame pixels that it stands for are masked, so that a mask never hides more than what it covers. The map is
smoothed (sigma 4 map pixels), so that what is bright under a mask shines a little beyond it: masks want a margin.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.aspect import inside_box
from edgerd.data.preprocess import tile_boxes
from edgerd.errors import SpecError
from edgerd.recipe.product import Mask
from edgerd.types import Box, Float32Array

BoolArray = npt.NDArray[np.bool_]


def masked_frame_pixels(masks: Sequence[Mask], frame_height: int, frame_width: int) -> BoolArray:
    """Draw masks.

    Args:
        masks: In pixels of the frame; what lies outside the frame is cut off.
        frame_height: Height of the frame in pixels.
        frame_width: Its width.

    Returns:
        bool (frame_height, frame_width), True where at least one mask is.
    """
    pixels = np.zeros((frame_height, frame_width), np.uint8)
    for mask in masks:
        if mask.rectangle is not None:
            x, y, width, height = mask.rectangle
            pixels[y : y + height, x : x + width] = 1
        elif mask.polygon is not None:
            # One at a time: of several in one call, OpenCV leaves out where they overlap.
            cv2.fillPoly(pixels, [np.array(mask.polygon, np.int32)], (1,))
    return pixels.view(np.bool_)


def covered_map_pixels(
    masks: Sequence[Mask], frame_height: int, frame_width: int, spec: PreprocessSpec
) -> BoolArray | None:
    """Find the pixels of the anomaly map that masks cover.

    It is the same for all frames of a camera until a mask, the region or the frame's size changes.

    Args:
        masks: In pixels of the frame.
        frame_height: Height of the frame in pixels.
        frame_width: Its width.
        spec: The bundle's preprocessing, with the region where the recipe has moved it.

    Returns:
        bool, of the shape of `Inspection.anomaly_map`, True where nothing is inspected; None where the masks cover no
        map pixel.

    Raises:
        SpecError: Region and tiles do not fit the frame; or the masks cover all of them, so that nothing would be
            inspected and every part would pass.
    """
    boxes = tile_boxes(frame_height, frame_width, spec)
    if not masks:
        return None
    open_pixels = ~masked_frame_pixels(masks, frame_height, frame_width)
    covered = np.stack([_covered(open_pixels, box, spec) for box in boxes])
    if covered.all():
        raise SpecError(
            f"The masks cover all that is inspected of a frame of {frame_width}x{frame_height} pixels.",
            expected="masks that leave a part of the region free",
            hint="Make them smaller in the recipe: they are in pixels of the frame, not of the region.",
        )
    return covered if covered.any() else None


def with_masks(anomaly_map: Float32Array, covered: BoolArray | None) -> Float32Array:
    """An anomaly map with what is masked set to 0, which no threshold is below.

    The score is to be taken anew from what is left, as the graph takes it (`edgerd.scoring`): the graph's own knows
    nothing of masks. Whether all values are finite has to be asked of the map as the engine gave it.

    Args:
        anomaly_map: float32 (tiles, H, W); it is not written to.
        covered: bool (tiles, H, W), as `covered_map_pixels` gives it; None for no mask.

    Returns:
        float32 (tiles, H, W): a new array, or the one that was given where nothing is masked.
    """
    return anomaly_map if covered is None else np.where(covered, np.float32(0), anomaly_map)


def _covered(open_pixels: BoolArray, tile: Box, spec: PreprocessSpec) -> BoolArray:
    """Which pixels of a tile's anomaly map have no open frame pixel below them: bool, of the map's shape.

    A map pixel stands for the smallest box of whole frame pixels around it, as `edgerd.data.preprocess.frame_box` has
    it. How many open pixels a box holds follows from four values of the summed-area table.
    """
    cut = open_pixels[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
    sums = np.zeros((tile.height + 1, tile.width + 1), np.int64)
    sums[1:, 1:] = cut.cumsum(axis=0).cumsum(axis=1)
    inside = inside_box(tile, spec)
    top, bottom = _spans(tile.height, inside.height)
    left, right = _spans(tile.width, inside.width)
    rows = sums[bottom] - sums[top]
    return np.asarray(rows[:, right] == rows[:, left], np.bool_)


def _spans(n_frame: int, n_map: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First frame pixel of each map pixel along an axis, and the one after its last."""
    numbers = np.arange(n_map)
    return numbers * n_frame // n_map, -(-(numbers + 1) * n_frame // n_map)
