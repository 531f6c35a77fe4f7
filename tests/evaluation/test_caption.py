"""A person sees from a picture alone how a part was judged, why, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.evaluation.caption import captioned
from edgerd.evaluation.heatmap import overlay
from edgerd.evaluation.labels import PLATE
from edgerd.types import Box, DefectRegion, Inspection, Verdict

GREY = np.full((256, 256, 3), 128, np.uint8)
RED, GREEN, AMBER = (30, 20, 200), (70, 120, 0), (0, 180, 245)


def judged(score=0.5, threshold=1.0, spot=None, verdict=None, regions=()):
    """An inspection whose map is flat, but for a spot (row, column) of 32 by 32 as high as the score."""
    anomaly_map = np.full((1, 32, 32), 0.2 * threshold, np.float32)
    if spot:
        anomaly_map[0, spot[0] - 2 : spot[0] + 2, spot[1] - 2 : spot[1] + 2] = score
    found = verdict or (Verdict.NG if score > threshold else Verdict.OK)
    return Inspection(found, score, threshold, tuple(regions), anomaly_map)


def pixels(picture, colour):
    """Where a picture has this colour."""
    return (picture == colour).all(axis=2)


def caption_box(picture, inspection):
    """Which pixels the caption covers: those that it changes."""
    plain = overlay(GREY, inspection.anomaly_map, inspection.threshold, regions=inspection.regions)
    rows, columns = np.nonzero(pixels(picture, PLATE) | pixels(picture, RED) | pixels(picture, GREEN))
    assert rows.size
    assert (picture != plain).any()
    covered = np.zeros(picture.shape[:2], bool)
    covered[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    return covered


@pytest.mark.parametrize(
    ("inspection", "colour"),
    [
        (judged(0.5), GREEN),
        (judged(1.5), RED),
        (Inspection(Verdict.NO_DECISION, None, 1.0, reason="black frame"), AMBER),
    ],
    ids=["OK", "NG", "NO_DECISION"],
)
@pytest.mark.parametrize("size", [64, 256, 1024])
def test_verdicts_differ_at_first_sight(inspection, colour, size):
    picture = captioned(np.full((size, size, 3), 128, np.uint8), inspection)
    for other in (RED, GREEN, AMBER):
        assert pixels(picture, other).any() == (other == colour)


@pytest.mark.parametrize("size", [64, 256, 2160])
def test_score_and_threshold_can_be_read_from_it(size):
    ground = np.full((size, size, 3), 128, np.uint8)
    shown = captioned(ground, judged(0.5))
    assert (shown != captioned(ground, judged(0.51))).any()
    assert (shown != captioned(ground, replace(judged(0.5), threshold=1.01))).any()


def test_a_score_just_above_the_threshold_does_not_look_like_the_threshold():
    flat = np.zeros((1, 32, 32), np.float32)
    close = captioned(GREY, Inspection(Verdict.NG, 1.00004, 1.0, anomaly_map=flat))
    equal = captioned(GREY, Inspection(Verdict.NG, 1.0, 1.0, anomaly_map=flat))
    assert (close != equal).any()


def test_the_mark_on_the_scale_moves_with_the_score():
    def mark(score):
        picture = captioned(GREY, judged(score, verdict=Verdict.OK))
        other = captioned(GREY, judged(score + 1.0, verdict=Verdict.OK))
        rows = slice(12, 22)  # the scale's, below the verdict
        changed = np.flatnonzero((picture[rows, :100] != other[rows, :100]).any(axis=(0, 2)))
        return changed[0], changed[-1]

    assert mark(0.2)[0] < mark(0.5)[0] < mark(0.8)[0]


@pytest.mark.parametrize("spot", [(3, 3), (3, 28), (28, 3), (28, 28)])
@pytest.mark.parametrize("score", [0.95, 1.5])
def test_the_caption_covers_no_defect_where_there_is_room_elsewhere(spot, score):
    """Neither one that was found nor one that was missed by a little."""
    inspection = judged(score, spot=spot)
    covered = caption_box(captioned(GREY, inspection), inspection)
    y, x = spot[0] * 8, spot[1] * 8
    assert not covered[y - 14 : y + 14, x - 14 : x + 14].any()


def test_the_caption_covers_no_box_and_no_value():
    region = DefectRegion(Box(0, 0, 120, 40), 100, 1.5)
    inspection = judged(1.5, regions=[region])
    picture = captioned(GREY, inspection)
    np.testing.assert_array_equal(
        picture[:40, :120], overlay(GREY, inspection.anomaly_map, 1.0, regions=[region])[:40, :120]
    )


def test_a_calm_part_keeps_its_caption_in_one_place():
    """A verdict that jumps about from frame to frame cannot be read."""
    places = {caption_box(captioned(GREY, one), one).tobytes() for one in (judged(0.6, spot=(3, 3)), judged(0.6))}
    assert len(places) == 1


@pytest.mark.parametrize("spot", [(3, 3), (3, 28), (28, 3), (28, 28)])
def test_in_a_video_every_caption_is_at_the_top_left(spot):
    for one in (judged(0.95, spot=spot), judged(1.5, spot=spot), judged(0.6)):
        rows, columns = np.nonzero(caption_box(captioned(GREY, one, one_place=True), one))
        assert (rows.min(), columns.min()) == (0, 0)
        assert (rows.max(), columns.max()) < (128, 128)


@pytest.mark.parametrize("box", [Box(2, 2, 20, 12), Box(10, 10, 120, 40), Box(0, 0, 256, 256)])
def test_a_box_under_the_caption_of_a_video_can_still_be_seen(box):
    inspection = judged(1.5, regions=[DefectRegion(box, 100, 1.5)])
    white = pixels(captioned(GREY, inspection, one_place=True), (255, 255, 255))
    rows, columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
    for edge in (white[box.y, columns], white[box.y + box.height - 1, columns], white[rows, box.x]):
        assert edge.all()


@pytest.mark.parametrize("size", [256, 512, 1024, 2160])
def test_the_caption_leaves_the_picture_to_the_part(size):
    ground = np.full((size, size, 3), 128, np.uint8)
    plate = pixels(captioned(ground, judged(0.5)), GREEN)
    assert np.count_nonzero(plate.any(axis=0)) < 0.3 * size


def test_the_reason_for_no_decision_is_in_the_picture():
    black = np.zeros((256, 256, 3), np.uint8)
    shown = [
        captioned(black, Inspection(Verdict.NO_DECISION, None, 1.0, reason=reason))
        for reason in ("black frame", "frozen", "too bright: mean grey level 255, good ones have 25 to 163", "")
    ]
    assert len({picture.tobytes() for picture in shown}) == 4


def test_the_picture_is_not_changed():
    picture = GREY.copy()
    captioned(picture, judged(1.5))
    captioned(picture, Inspection(Verdict.NO_DECISION, None, 1.0, reason="frozen"))
    np.testing.assert_array_equal(picture, GREY)


@given(st.integers(1, 140), st.integers(1, 140), st.floats(0, 3, width=32), st.floats(0, 2), st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_picture_score_threshold_and_reason(height, width, score, threshold, reason):
    picture = np.zeros((height, width, 3), np.uint8)
    region = DefectRegion(Box(width // 2, height // 2, 1, 1), 1, score)
    assert captioned(picture, judged(score, threshold, (9, 9), regions=[region])).shape == picture.shape
    none = Inspection(Verdict.NO_DECISION, None, threshold, reason=reason)
    assert captioned(picture, none).shape == picture.shape
