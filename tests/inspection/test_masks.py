"""What a mask covers in the frame is left out of the map, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.data.preprocess import frame_box, tile_boxes
from edgerd.errors import SpecError
from edgerd.inspection.masks import covered_map_pixels, masked_frame_pixels, with_masks
from edgerd.inspection.regions import find_regions
from edgerd.recipe.product import Mask
from edgerd.types import Box

HEIGHT, WIDTH = 90, 120
coordinates = st.integers(0, 140)
masks = st.lists(
    st.one_of(
        st.tuples(coordinates, coordinates, st.integers(1, 90), st.integers(1, 90)).map(
            lambda box: Mask(rectangle=box)
        ),
        st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=6).map(
            lambda corners: Mask(polygon=tuple(corners))
        ),
    ),
    max_size=3,
)
regions = st.builds(RegionSpec, x=st.integers(0, 60), y=st.integers(0, 40), width=st.just(60), height=st.just(50))
specs = st.builds(
    lambda size, region, tiles: PreprocessSpec(height=size[0], width=size[1], region=region, tiles=tiles),
    st.sampled_from([(32, 32), (64, 32), (32, 96)]),
    st.none()
    | st.builds(RegionSpec, x=st.integers(0, 60), y=st.integers(0, 40), width=st.just(60), height=st.just(50)),
    st.builds(TileSpec, rows=st.integers(1, 2), columns=st.integers(1, 3), overlap=st.sampled_from([0.0, 0.2])),
)


def covered(masks, spec):
    """The covered map pixels; all or none of them as an array too."""
    shape = (spec.n_tiles, spec.height, spec.width)
    try:
        found = covered_map_pixels(masks, HEIGHT, WIDTH, spec)
    except SpecError:
        return np.ones(shape, bool)
    return np.zeros(shape, bool) if found is None else found


def frame_boxes(spec):
    """For each map pixel (tile, y, x) the frame pixels that it stands for."""
    for tile, tile_box in enumerate(tile_boxes(HEIGHT, WIDTH, spec)):
        for y in range(spec.height):
            for x in range(spec.width):
                yield (tile, y, x), frame_box(tile_box, Box(x, y, 1, 1), spec)


@settings(max_examples=25, deadline=None)
@given(masks, specs)
def test_a_map_pixel_is_covered_where_all_its_frame_pixels_are(masks, spec):
    found, frame = covered(masks, spec), masked_frame_pixels(masks, HEIGHT, WIDTH)
    for pixel, box in frame_boxes(spec):
        assert found[pixel] == frame[box.y : box.y + box.height, box.x : box.x + box.width].all()


@settings(deadline=None)
@given(masks, masks, specs)
def test_more_masks_cover_no_less_and_their_order_says_nothing(some, others, spec):
    both = covered([*some, *others], spec)
    assert (both >= covered(some, spec)).all()
    assert (both == covered([*others, *some], spec)).all()


@settings(deadline=None)
@given(masks, st.integers(0, 60), st.integers(0, 40))
def test_a_region_and_masks_that_move_together_cover_the_same(masks, x, y):
    region = RegionSpec(x=0, y=0, width=60, height=50)
    inside = [Mask(rectangle=(5, 6, 20, 30)), Mask(polygon=((30, 30), (50, 30), (30, 45)))]
    moved = [
        Mask(rectangle=(5 + x, 6 + y, 20, 30)),
        Mask(polygon=tuple((a + x, b + y) for a, b in inside[1].polygon)),
    ]
    spec = PreprocessSpec(height=32, width=32, region=region)
    there = spec.model_copy(update={"region": RegionSpec(x=x, y=y, width=60, height=50)})
    assert (covered(inside, spec) == covered(moved, there)).all()


@settings(deadline=None)
@given(masks, specs, st.randoms(use_true_random=False))
def test_a_masked_map_is_the_map_where_nothing_is_covered(masks, spec, source):
    anomaly_map = np.random.default_rng(source.randrange(99)).random(
        (spec.n_tiles, spec.height, spec.width), np.float32
    )
    before, found = anomaly_map.copy(), covered(masks, spec)
    result = with_masks(anomaly_map, found)
    assert (anomaly_map == before).all()
    assert result.dtype == np.float32
    assert (result[~found] == before[~found]).all()
    assert not result[found].any()
    assert with_masks(anomaly_map, None) is anomaly_map


@settings(deadline=None)
@given(masks)
def test_overlapping_masks_cover_what_each_of_them_covers(masks):
    alone = np.zeros((HEIGHT, WIDTH), bool)
    for mask in masks:
        alone |= masked_frame_pixels([mask], HEIGHT, WIDTH)
    assert (masked_frame_pixels(masks, HEIGHT, WIDTH) == alone).all()


def test_a_rectangle_has_its_size_and_a_polygon_its_corners():
    assert masked_frame_pixels([Mask(rectangle=(10, 20, 30, 40))], HEIGHT, WIDTH).sum() == 30 * 40
    polygon = masked_frame_pixels([Mask(polygon=((10, 20), (39, 20), (39, 59), (10, 59)))], HEIGHT, WIDTH)
    assert (polygon == masked_frame_pixels([Mask(rectangle=(10, 20, 30, 40))], HEIGHT, WIDTH)).all()
    assert not masked_frame_pixels([Mask(rectangle=(65535, 0, 9, 9))], HEIGHT, WIDTH).any()


def test_a_defect_under_a_mask_has_no_region_and_one_beside_it_has():
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=1, columns=2))
    anomaly_map = np.zeros((2, 32, 32), np.float32)
    cv2.circle(anomaly_map[0], (8, 8), 3, 2.0, -1)
    cv2.circle(anomaly_map[1], (20, 20), 3, 1.0, -1)
    boxes = tile_boxes(HEIGHT, WIDTH, spec)
    result = with_masks(anomaly_map, covered_map_pixels([Mask(rectangle=(0, 0, 40, 60))], HEIGHT, WIDTH, spec))
    assert result.max() == 1.0
    (region,) = find_regions(result, 0.5, boxes, spec)
    assert region.box.x > 60


def test_masks_over_everything_are_refused():
    with pytest.raises(SpecError, match="cover all"):
        covered_map_pixels([Mask(rectangle=(0, 0, 500, 500))], HEIGHT, WIDTH, PreprocessSpec())


def test_no_masks_and_masks_elsewhere_cover_nothing():
    spec = PreprocessSpec(region=RegionSpec(x=0, y=0, width=50, height=50))
    assert covered_map_pixels([], HEIGHT, WIDTH, spec) is None
    assert covered_map_pixels([Mask(rectangle=(60, 60, 10, 10))], HEIGHT, WIDTH, spec) is None
    with pytest.raises(SpecError):
        covered_map_pixels([], 40, 40, spec)
