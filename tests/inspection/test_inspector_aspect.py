"""Crop and letterbox over the CPU: what is found is where it is in the frame, and padding is not looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspection_parts import THRESHOLD, make_bundle

from edgerd.bundle.manifest import PictureLimits, PreprocessSpec, RegionSpec, TileSpec
from edgerd.inspection.inspector import Inspector
from edgerd.recipe.product import Mask
from edgerd.runtimes.fake import FakeEngine
from edgerd.types import Verdict


def inspector(limits=None, masks=(), **spec):
    made = Inspector(make_bundle(PreprocessSpec(**{"height": 64, "width": 64} | spec), limits), FakeEngine(), THRESHOLD)
    return made.beside(masks=masks)


def grey_with(height, width, box):
    frame = np.full((height, width, 3), 128, np.uint8)
    x, y, across, down = box
    frame[y : y + down, x : x + across] = 255
    return frame


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_spot_is_found_where_it_is_in_a_frame_of_any_size(data):
    aspect = data.draw(st.sampled_from(["crop", "letterbox"]))
    width, height = data.draw(st.integers(48, 500)), data.draw(st.integers(48, 500))
    tiles = data.draw(st.builds(TileSpec, rows=st.integers(1, 2), columns=st.integers(1, 3)))
    judge = inspector(aspect=aspect, tiles=tiles)
    side = min(width, height)
    size = max(12, side // 3)  # in the middle, which is inspected with crop as well
    box = (width - size) // 2, (height - size) // 2, size, size
    found = judge.inspect(grey_with(height, width, box))
    assert found.verdict is Verdict.NG
    (region,) = found.regions
    # what a pixel of the map stands for at most, with tiles put together to the nearest one
    near = 3 + 3 * max(width, height) / 64
    for given_, wanted in zip(
        (region.box.x, region.box.y, region.box.x + region.box.width, region.box.y + region.box.height),
        (box[0], box[1], box[0] + size, box[1] + size),
        strict=True,
    ):
        assert abs(given_ - wanted) <= near


@pytest.mark.parametrize(
    ("size", "shape"), [((64, 256), (1, 16, 64)), ((256, 64), (1, 64, 16)), ((80, 80), (1, 64, 64))]
)
def test_the_map_shows_the_picture_and_no_padding(size, shape):
    found = inspector(aspect="letterbox").inspect(grey_with(*size, (0, 0, 0, 0)))
    assert found.anomaly_map.shape == shape
    assert found.anomaly_map.max() == 0  # padding would score a tenth


def test_a_mask_lies_where_it_was_drawn():
    spot = (200, 20, 24, 24)
    frame = grey_with(64, 256, spot)
    assert inspector(aspect="letterbox").inspect(frame).verdict is Verdict.NG
    masked = inspector(aspect="letterbox", masks=[Mask(rectangle=(190, 10, 50, 50))])
    assert masked.inspect(frame).verdict is Verdict.OK
    beside = inspector(aspect="letterbox", masks=[Mask(rectangle=(0, 0, 190, 64))])
    assert beside.inspect(frame).verdict is Verdict.NG


def test_what_crop_cuts_off_is_not_inspected():
    frame = grey_with(64, 256, (0, 0, 90, 64))
    assert inspector(aspect="crop").inspect(frame).verdict is Verdict.OK
    assert inspector(aspect="letterbox").inspect(frame).verdict is Verdict.NG


def test_a_region_is_cropped_or_padded_like_a_frame():
    region = RegionSpec(x=100, y=50, width=256, height=64)
    frame = grey_with(300, 400, (210, 70, 30, 20))
    for aspect in ("crop", "letterbox"):
        (found,) = inspector(aspect=aspect, region=region).inspect(frame).regions
        assert abs(found.box.x - 210) <= 6
        assert abs(found.box.y - 70) <= 6


def test_black_frames_are_no_brighter_for_their_padding():
    """Three quarters of what the engine sees is grey padding, and still it is a black frame."""
    limits = PictureLimits(mean_low=40, mean_high=240, contrast_low=0)
    found = inspector(limits, aspect="letterbox").inspect(np.zeros((64, 256, 3), np.uint8))
    assert (found.verdict, found.reason) == (Verdict.NO_DECISION, "black frame")


def test_a_flat_frame_has_no_more_contrast_for_its_padding():
    limits = PictureLimits(mean_low=10, mean_high=240, contrast_low=5)
    found = inspector(limits, aspect="letterbox").inspect(np.full((64, 256, 3), 200, np.uint8))
    assert found.reason.startswith("no contrast")


@pytest.mark.parametrize("aspect", ["crop", "letterbox"])
def test_an_overlay_shows_the_spot_where_it_is(aspect):
    judge = inspector(aspect=aspect)
    frame = grey_with(256, 640, (300, 100, 60, 60))
    painted = judge.overlay(frame, judge.inspect(frame))
    changed = (painted != frame).any(axis=2)
    assert painted.shape == frame.shape
    assert changed[110:150, 310:350].all()
    assert not changed[:90, 400:].any()
