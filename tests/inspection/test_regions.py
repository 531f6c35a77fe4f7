"""Where the defects are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.data.preprocess import tile_boxes
from edgerd.inspection.regions import MAX_REGIONS, find_regions
from edgerd.types import Box, DefectRegion, Float32Array

SPEC = PreprocessSpec(height=32, width=32)
maps = arrays(np.float32, (1, 32, 32), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]), fill=st.just(0.0))


def find(anomaly_map: Float32Array, threshold: float, size: int = 32) -> tuple[DefectRegion, ...]:
    return find_regions(anomaly_map, threshold, tile_boxes(size, size, SPEC), SPEC)


@given(maps, st.sampled_from([0.1, 0.5, 1.0]))
def test_regions_are_the_connected_areas(anomaly_map: Float32Array, threshold: float) -> None:
    regions = find(anomaly_map, threshold)
    labels, n_areas = ndimage.label(anomaly_map[0] > threshold, np.ones((3, 3)))
    assert len(regions) == min(n_areas, MAX_REGIONS)
    peaks = ndimage.maximum(anomaly_map[0], labels, range(1, n_areas + 1))
    assert [region.peak for region in regions] == sorted(np.atleast_1d(peaks).tolist(), reverse=True)[:MAX_REGIONS]
    if n_areas <= MAX_REGIONS:
        assert sum(region.area_px for region in regions) == (anomaly_map > threshold).sum()
    for region in regions:
        box = region.box
        inside = anomaly_map[0, box.y : box.y + box.height, box.x : box.x + box.width]
        assert inside.shape == (box.height, box.width)
        assert inside.max() >= region.peak > threshold


@given(st.floats(2**-7, 6.0, width=32), st.integers(-3, 3))
def test_wherever_the_score_is_above_the_threshold_there_is_a_region(score: float, steps: int) -> None:
    anomaly_map = np.zeros((1, 32, 32), np.float32)
    anomaly_map[0, 5, 7] = score
    threshold = score
    for _ in range(abs(steps)):
        threshold = float(np.nextafter(threshold, 9.0 * np.sign(steps)))
    assert len(find(anomaly_map, threshold)) == (score > threshold)


def test_boxes_and_areas_are_in_frame_pixels() -> None:
    spec = PreprocessSpec(
        height=32, width=64, region=RegionSpec(x=100, y=50, width=256, height=128), tiles=TileSpec(rows=2, columns=2)
    )
    boxes = tile_boxes(400, 400, spec)
    anomaly_map = np.zeros((4, 32, 64), np.float32)
    anomaly_map[3, 8:16, 10:20] = 0.5
    (region,) = find_regions(anomaly_map, 0.4, boxes, spec)
    assert region.box == Box(100 + 128 + 20, 50 + 64 + 16, 20, 16)
    assert region.area_px == 20 * 16


def test_touching_corners_are_one_region() -> None:
    anomaly_map = np.zeros((1, 32, 32), np.float32)
    anomaly_map[0, 3, 3] = anomaly_map[0, 4, 4] = 1.0
    (region,) = find(anomaly_map, 0.5)
    assert region.box == Box(3, 3, 2, 2)


def test_the_smallest_region_of_a_small_frame_still_has_an_area() -> None:
    anomaly_map = np.zeros((1, 32, 32), np.float32)
    anomaly_map[0, 3, 3] = 1.0
    (region,) = find(anomaly_map, 0.5, size=8)
    assert region.area_px == 1


TILED = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=2, columns=3, overlap=0.2))


def test_a_defect_across_the_border_of_two_tiles_is_one_region() -> None:
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=1, columns=2))
    boxes = tile_boxes(32, 64, spec)
    anomaly_map = np.zeros((2, 32, 32), np.float32)
    anomaly_map[0, 10:14, 28:32] = 1.0
    anomaly_map[1, 10:14, 0:6] = 2.0
    (region,) = find_regions(anomaly_map, 0.5, boxes, spec)
    assert (region.box, region.area_px, region.peak) == (Box(28, 10, 10, 4), 40, 2.0)


def test_a_defect_where_tiles_overlap_is_one_region() -> None:
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=1, columns=2, overlap=0.25))
    boxes = tile_boxes(64, 112, spec)
    defect = Box(54, 20, 6, 8)
    anomaly_map = np.zeros((2, 32, 32), np.float32)
    for tile, box in enumerate(boxes):
        left = (defect.x - box.x) * 32 // box.width
        anomaly_map[tile, 10:14, left : left + 3] = 1.0
    (region,) = find_regions(anomaly_map, 0.5, boxes, spec)
    assert region.box.y == defect.y
    assert abs(region.box.x - defect.x) <= 2
    assert abs(region.box.width - defect.width) <= 2


@given(
    arrays(np.float32, (6, 32, 32), elements=st.sampled_from([0.0, 0.6, 1.0, 3.0]), fill=st.just(0.0)),
    st.integers(40, 300),
    st.integers(60, 300),
)
def test_tiles_put_together_hide_nothing_and_stay_in_the_frame(
    anomaly_map: Float32Array, height: int, width: int
) -> None:
    boxes = tile_boxes(height, width, TILED)
    regions = find_regions(anomaly_map, 0.5, boxes, TILED)
    assert bool(regions) == bool((anomaly_map > 0.5).any())
    if regions:
        assert regions[0].peak == anomaly_map.max()
    for region in regions:
        box = region.box
        assert box.width > 0
        assert box.height > 0
        assert 0 <= box.x < box.x + box.width <= width
        assert 0 <= box.y < box.y + box.height <= height
