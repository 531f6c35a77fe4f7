"""Where the defects are: connected areas of the anomaly map above the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import frame_box
from edgerd.types import Box, DefectRegion, Float32Array

MAX_REGIONS = 20
"""An alert names this many at most: with more, the part as a whole is wrong."""


def find_regions(
    anomaly_map: Float32Array, threshold: float, tile_boxes: Sequence[Box], spec: PreprocessSpec
) -> tuple[DefectRegion, ...]:
    """Connected areas (8 neighbours) above the threshold.

    Args:
        anomaly_map: float32 (tiles, H, W), as `Inspection.anomaly_map`: without padding.
        threshold: Above it, strictly, is defective; same unit as the map.
        tile_boxes: Where each tile lies, in frame pixels, as `edgerd.data.preprocess.tile_boxes` gives them.
        spec: The preprocessing.

    Returns:
        The highest peaks first, `MAX_REGIONS` at most. Tiles are put together first, so that a defect across the border
        of two tiles, or where they overlap, is one region.
    """
    stitched = stitch(anomaly_map, tile_boxes)
    whole = Box(
        tile_boxes[0].x,
        tile_boxes[0].y,
        tile_boxes[-1].x + tile_boxes[-1].width - tile_boxes[0].x,
        tile_boxes[-1].y + tile_boxes[-1].height - tile_boxes[0].y,
    )
    # As float64, like the verdict: rounded to float32 the threshold could come to lie on the score that is above it.
    defective = stitched > np.float64(threshold)
    n_labels, labels, statistics, _ = cv2.connectedComponentsWithStats(defective.view(np.uint8), connectivity=8)
    peaks = np.full(n_labels, -np.inf, np.float32)
    np.maximum.at(peaks, labels[defective], stitched[defective])
    frame_px_per_map_px = tile_boxes[0].width * tile_boxes[0].height / anomaly_map[0].size
    # No more than an alert names: a noisy map has thousands of regions, and each costs microseconds here.
    highest = 1 + np.argsort(-peaks[1:], kind="stable")[:MAX_REGIONS]
    return tuple(
        DefectRegion(
            box=_inside(frame_box(tile_boxes[0], Box(x, y, width, height), spec), whole),
            area_px=max(1, round(area * frame_px_per_map_px)),
            peak=peak,
        )
        for (x, y, width, height, area), peak in zip(statistics[highest].tolist(), peaks[highest].tolist(), strict=True)
    )


def stitch(anomaly_map: Float32Array, tile_boxes: Sequence[Box]) -> Float32Array:
    """Put the maps of a frame's tiles together, to the nearest map pixel; where they overlap the larger value counts.

    Args:
        anomaly_map: float32 (tiles, H, W).
        tile_boxes: Where each tile lies, in frame pixels; all have one size.

    Returns:
        float32 (h, w), at the scale of the tiles' maps; the map itself where there is one tile.
    """
    if len(tile_boxes) == 1:
        only: Float32Array = anomaly_map[0]
        return only
    first, (height, width) = tile_boxes[0], anomaly_map.shape[1:]
    lefts = [round((box.x - first.x) * width / box.width) for box in tile_boxes]
    tops = [round((box.y - first.y) * height / box.height) for box in tile_boxes]
    stitched = np.full((max(tops) + height, max(lefts) + width), -np.inf, np.float32)
    for tile_map, left, top in zip(anomaly_map, lefts, tops, strict=True):
        part = stitched[top : top + height, left : left + width]
        np.maximum(part, tile_map, out=part)
    return stitched


def _inside(box: Box, whole: Box) -> Box:
    """The part of a box that lies in the region: rounding may let it stand out by a pixel or two."""
    right, bottom = min(box.x + box.width, whole.x + whole.width), min(box.y + box.height, whole.y + whole.height)
    left, top = min(box.x, right - 1), min(box.y, bottom - 1)
    return Box(left, top, right - left, bottom - top)
