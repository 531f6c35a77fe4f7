import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.errors import InputError
from edgerd.evaluation.heatmap import colour_scale, mask_overlay, overlay
from edgerd.types import Box, DefectRegion

GREY = np.full((120, 160, 3), 128, np.uint8)


def spot(height=32, width=32, value=1.0):
    anomaly_map = np.zeros((height, width), np.float32)
    anomaly_map[10:14, 20:24] = value
    return anomaly_map


def test_a_calm_part_looks_like_itself():
    np.testing.assert_array_equal(overlay(GREY, spot(value=0.45), threshold=1.0), GREY)


def test_the_picture_is_not_changed():
    picture = GREY.copy()
    overlay(picture, spot(value=3), threshold=1.0)
    mask_overlay(picture, spot() > 0)
    np.testing.assert_array_equal(picture, GREY)


def test_heat_is_drawn_where_it_is():
    painted = overlay(GREY, spot(value=1.5), threshold=1.0)
    y, x = int(12 * 120 / 32), int(22 * 160 / 32)
    blue, green, red = painted[y, x].astype(int)
    assert red > blue + 60
    assert red > green
    np.testing.assert_array_equal(painted[:20], GREY[:20])
    np.testing.assert_array_equal(painted[:, :60], GREY[:, :60])


def test_the_scale_is_tied_to_the_threshold():
    np.testing.assert_array_equal(overlay(GREY, spot(value=0.8), 0.5), overlay(GREY, spot(value=1.6), 1.0))


def has_outline(painted):
    return bool((painted < 100).all(axis=2).any())


def test_only_what_is_above_the_threshold_is_outlined():
    assert has_outline(overlay(GREY, spot(value=1.01), threshold=1.0))
    assert not has_outline(overlay(GREY, spot(value=1.0), threshold=1.0))


@given(st.floats(1e-3, 5.0))
def test_a_score_at_the_threshold_has_no_outline(threshold):
    value = np.float32(threshold)
    assert not has_outline(overlay(GREY, spot(value=value), threshold=float(value)))


def test_tiles_are_drawn_where_they_lie_and_nowhere_else():
    maps = np.stack([np.zeros((32, 32), np.float32), np.full((32, 32), 1.9, np.float32)])
    painted = overlay(GREY, maps, 1.0, tiles=(Box(0, 20, 80, 60), Box(80, 20, 60, 60)))
    changed = (painted != GREY).any(axis=2)
    assert changed[25:75, 85:135].all()
    assert not changed[:15].any()
    assert not changed[:, :75].any()


def test_regions_are_boxed_with_their_peak():
    region = DefectRegion(box=Box(100, 40, 20, 12), area_px=100, peak=1.5)
    painted = overlay(GREY, spot(value=0.1), 1.0, regions=[region])
    assert (painted[40, 105:115] == 255).all()
    assert (painted != GREY).any(axis=2)[20:38, 100:140].any()


def test_a_region_in_the_corner_keeps_its_number_inside():
    region = DefectRegion(box=Box(150, 0, 10, 10), area_px=100, peak=1.234)
    assert overlay(GREY, spot(value=0.1), 1.0, regions=[region]).shape == GREY.shape


def test_maps_that_do_not_fit_their_tiles():
    with pytest.raises(InputError, match="2 maps for 1 tiles"):
        overlay(GREY, np.zeros((2, 8, 8), np.float32), 1.0)


@given(st.integers(1, 70), st.integers(1, 70), st.floats(0, 3), st.floats(0, 2))
@settings(max_examples=40, deadline=None)
def test_any_picture_size_and_threshold(height, width, value, threshold):
    picture = np.zeros((height, width, 3), np.uint8)
    assert overlay(picture, spot(value=value), threshold).shape == picture.shape
    assert mask_overlay(picture, spot() > 0).dtype == np.uint8


def test_a_mask_keeps_the_defect_and_dims_the_rest():
    mask = np.zeros((12, 16), bool)
    mask[4:8, 4:12] = True
    painted = mask_overlay(GREY, mask)
    assert (painted[60, 80] == 128).all()
    assert (painted[5, 5] < 64).all()


def test_the_legend_runs_to_twice_the_threshold():
    multiples = [multiple for multiple, _, _ in colour_scale()]
    assert multiples == sorted(multiples)
    assert multiples[-1] == 2.0
    assert colour_scale()[0][2] == 0.0


def test_a_defect_below_the_threshold_can_be_seen():
    """A missed defect must not look as if the model had seen nothing."""
    good, missed = np.full((32, 32), 0.75, np.float32), np.full((32, 32), 0.75, np.float32)
    missed[10:16, 18:26] = 0.95
    difference = overlay(GREY, missed, 1.0).astype(int) - overlay(GREY, good, 1.0)
    assert abs(difference[46, 110]).max() > 30
    assert not difference[:20].any()


def test_colours_on_both_sides_of_the_threshold_are_told_apart_by_the_colour_blind():
    """Blue below, yellow above: those who do not see red from green see that as everybody does."""
    below, above = (
        overlay(GREY, np.full((32, 32), value, np.float32), 1.0)[60, 80].astype(int) for value in (1.0, 1.01)
    )
    assert below[0] - below[2] > 30  # blue over red
    assert above[2] - above[0] > 30  # red over blue; green goes with it
    assert abs(int(above[1]) - int(above[2])) < 40


def test_the_legend_has_its_step_at_the_threshold():
    stops = [(multiple, rgb) for multiple, rgb, _ in colour_scale()]
    (below, above) = (next(rgb for at, rgb in order if test(at)) for order, test in (
        (reversed(stops), lambda at: at <= 1.0), (stops, lambda at: at > 1.0),
    ))  # fmt: skip
    assert below[2] > below[0] + 100
    assert above[0] > above[2] + 100


def test_the_legend_is_what_is_drawn():
    white = np.full_like(GREY, 255)
    for multiple, rgb, opacity in colour_scale():
        drawn = overlay(white, np.full((32, 32), multiple, np.float32), 1.0)[60, 80, ::-1]
        expected = np.array(rgb) * opacity + 255 * (1 - opacity)
        np.testing.assert_allclose(drawn, expected, atol=6)
