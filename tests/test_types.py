"""The values that travel through edgerd."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgerd
from edgerd.calibration.range_judgement import Enough
from edgerd.data.preprocess import check_layout
from edgerd.line.decision import AlertState
from edgerd.line.summary import Ended
from edgerd.monitor.snapshot import CameraState
from edgerd.types import Box, DefectRegion, Frame, Inspection, PixelFormat, Verdict

PACKAGE = Path(edgerd.__file__).parent
halves = st.integers(1, 2000)


@pytest.mark.parametrize("pixel_format", PixelFormat)
@given(half_height=halves, half_width=halves)
def test_a_size_comes_back_from_the_shape_of_its_data(pixel_format, half_height, half_width):
    size = 2 * half_height, 2 * half_width
    assert pixel_format.size(pixel_format.shape(*size)) == size


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_data_of_that_shape_is_a_frame(pixel_format):
    check_layout(Frame(np.zeros(pixel_format.shape(6, 4), np.uint8), pixel_format))


REGION = DefectRegion(Box(1, 2, 3, 4), area_px=10, peak=0.75)
NG = Inspection(Verdict.NG, 0.75, 0.5, (REGION,), np.zeros((1, 256, 256), np.float32), frame_ms=1.23456)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        (Verdict.NO_DECISION, "NO_DECISION"),
        (PixelFormat.GREY, "grey"),
        (CameraState.LOST, "lost"),
        (AlertState.RAISED, "raised"),
        (Ended.INTERRUPTED, "interrupted"),
        (Enough.MORE, "more pictures needed"),
    ],
)
def test_names_print_as_their_values_on_every_python(member, value):
    assert str(member) == f"{member}" == f"{member:s}" == format(member) == member == value
    assert f"{member:>12}" == value.rjust(12)
    assert json.dumps({"is": member}) == f'{{"is": "{value}"}}'


def test_an_inspection_as_a_dictionary_is_json():
    region = {"x": 1, "y": 2, "width": 3, "height": 4, "area_px": 10, "peak": 0.75}
    expected = {
        "verdict": "NG",
        "reason": "",
        "score": 0.75,
        "threshold": 0.5,
        "regions": [region],
        "frame_ms": 1.235,
    }
    assert json.loads(json.dumps(NG.to_dict())) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NG, "<Inspection NG: score 0.75, threshold 0.5, 1 region>"),
        (Inspection(Verdict.OK, 0.25, 0.5), "<Inspection OK: score 0.25, threshold 0.5, 0 regions>"),
        (Inspection(Verdict.NO_DECISION, None, 0.5, reason="black frame"), "<Inspection NO_DECISION: black frame>"),
        (Frame(np.zeros((48, 64, 3), np.uint8), number=7), "<Frame 7: bgr uint8 (48, 64, 3)>"),
        (
            Frame(np.zeros((48, 64), np.uint8), PixelFormat.GREY, source="a.png"),
            "<Frame 0: grey uint8 (48, 64), 'a.png'>",
        ),
    ],
)
def test_values_with_pictures_print_in_one_short_line(value, text):
    assert repr(value) == text


def test_every_enumeration_of_strings_is_of_that_kind():
    mixed = [str(file) for file in PACKAGE.rglob("*.py") if "(str, Enum)" in file.read_text(encoding="utf-8")]
    assert mixed == [str(PACKAGE / "types.py")]
