"""NaN and infinity are refused wherever a number is typed: no value would ever exceed such a limit."""

import pytest


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN", "1e999"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("build-engine", "b"), "--max-map-error"),
        (("build-engine", "b"), "--max-auroc-drop"),
        (("calibrate", "b"), "--minutes"),
        (("calibrate", "b"), "--false-alarm-rate"),
        (("train", "d", "-o", "r"), "--holdout"),
    ],
)
def test_a_number_that_is_none(edgerd, command, option, value):
    result = edgerd(*command, option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.err
