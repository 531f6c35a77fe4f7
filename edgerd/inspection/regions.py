"""Where the defects are: connected areas of the anomaly map above the threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
        anomaly_map: float32 (tiles, H, W).
        threshold: Above it, strictly, is defective; same unit as the map.
        tile_boxes: Where each tile lies, in frame pixels, as `edgerd.data.preprocess.tile_boxes` gives them.
        spec: The preprocessing.

    Returns:
        The highest peaks first, `MAX_REGIONS` at most. Each tile speaks for itself: a defect across the border of two
        tiles, or where they overlap, is a region in both.
    """
    regions = [
        region
        for tile_map, tile_box in zip(anomaly_map, tile_boxes, strict=True)
        for region in _tile_regions(tile_map, threshold, tile_box, spec)
    ]
    regions.sort(key=lambda region: region.peak, reverse=True)
    return tuple(regions[:MAX_REGIONS])


def _tile_regions(
    tile_map: Float32Array, threshold: float, tile_box: Box, spec: PreprocessSpec
) -> Iterator[DefectRegion]:
    # As float64, like the verdict: rounded to float32 the threshold could come to lie on the score that is above it.
    defective = tile_map > np.float64(threshold)
    n_labels, labels, statistics, _ = cv2.connectedComponentsWithStats(defective.view(np.uint8), connectivity=8)
    peaks = np.full(n_labels, -np.inf, np.float32)
    np.maximum.at(peaks, labels[defective], tile_map[defective])
    frame_px_per_map_px = tile_box.width * tile_box.height / tile_map.size
    # No more than an alert names: a noisy map has thousands of regions, and each costs microseconds here.
    highest = 1 + np.argsort(-peaks[1:], kind="stable")[:MAX_REGIONS]
    for (x, y, width, height, area), peak in zip(statistics[highest].tolist(), peaks[highest].tolist(), strict=True):
        yield DefectRegion(
            box=frame_box(tile_box, Box(x, y, width, height), spec),
            area_px=max(1, round(area * frame_px_per_map_px)),
            peak=peak,
        )
