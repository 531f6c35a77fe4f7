"""Text in pictures can be read on any ground, and stands where nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.evaluation.labels import (
    PLATE,
    WHITE,
    decimals_of,
    digit_px,
    draw_ink,
    draw_regions,
    ink,
    label_places,
    shared_px,
)
from edgerd.types import Box, DefectRegion


def boxes(height, width):
    return st.builds(
        lambda x, y, w, h: Box(x, y, min(w, width - x), min(h, height - y)),
        st.integers(0, width - 1), st.integers(0, height - 1), st.integers(1, width), st.integers(1, height),
    )  # fmt: skip


@pytest.mark.parametrize("height_px", [7, 9, 27, 54])
def test_digits_are_as_high_as_they_should_be(height_px):
    (rows,) = (np.flatnonzero((ink("0123456789", height_px) > 127).any(axis=1)),)
    assert abs(len(rows) - height_px) <= max(1, height_px // 8)


def test_each_digit_of_a_label_can_be_told_from_the_others():
    """OpenCV 5 draws a thicker text wider: with an outline, later digits become a smear."""
    for height_px in (7, 12, 40):
        looks = {ink(f"1.23{digit}", height_px).tobytes() for digit in range(10)}
        assert len(looks) == 10


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("size", [64, 256, 2160])
def test_a_label_looks_the_same_on_every_ground(ground, size):
    picture = np.full((size, size, 3), ground, np.uint8)
    region = DefectRegion(Box(size // 4, size // 2, size // 3, size // 4), 100, 1.5)
    draw_regions(picture, [region], decimals=2)
    above = picture[: region.box.y - 4]
    plate = (above == PLATE).all(axis=2)
    assert plate.any()
    rows, columns = np.flatnonzero(plate.any(axis=1)), np.flatnonzero(plate.any(axis=0))
    label = above[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (label == WHITE).all(axis=2).any()
    drawn = ink("1.50", digit_px(picture))
    expected = np.full_like(label, PLATE)
    margin = (label.shape[1] - drawn.shape[1]) // 2
    draw_ink(expected, drawn[: label.shape[0] - margin], margin, margin, WHITE)
    np.testing.assert_array_equal(label, expected)


@given(
    st.lists(st.tuples(boxes(120, 160), st.integers(10, 60), st.integers(8, 30)), max_size=20),
    boxes(120, 160),
    st.integers(0, 8),
)
@settings(max_examples=100, deadline=None)
def test_labels_cover_nothing_and_stay_inside(labelled, clear, gap):
    regions, sizes = [box for box, _, _ in labelled], [size for _, *size in labelled]
    found = label_places(regions, sizes, (120, 160, 3), gap=gap, keep_clear=[clear])
    places = [place for place in found if place is not None]
    for number, place in enumerate(places):
        assert place.x >= 0 <= place.y
        assert place.x + place.width <= 160
        assert place.y + place.height <= 120
        for other in [*regions, clear, *places[:number]]:
            assert shared_px(place, other) == 0


def test_a_region_by_itself_has_its_label_wherever_it_lies():
    for x, y in ((0, 0), (150, 0), (0, 110), (150, 110), (75, 55)):
        assert label_places([Box(x, y, 10, 10)], [(30, 12)], (120, 160), gap=2) != [None]


@pytest.mark.parametrize(("threshold", "decimals"), [(1.036, 2), (21.4, 1), (480.0, 0), (0.0312, 4), (0.0, 2)])
def test_a_threshold_has_three_digits(threshold, decimals):
    assert decimals_of(threshold) == decimals
