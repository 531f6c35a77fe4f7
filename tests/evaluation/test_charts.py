from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.evaluation.charts import roc_chart, score_chart

scores = st.lists(st.floats(0, 6), max_size=40).map(np.array)


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def coordinates(svg):
    for element in ElementTree.fromstring(svg).iter():
        for name in ("x", "y", "cx", "cy"):
            if name in element.attrib:
                yield float(element.attrib[name])


@given(scores, scores, st.one_of(st.none(), st.floats(0, 6)))
def test_any_scores_make_a_chart(good, defective, threshold):
    if good.size + defective.size == 0:
        return
    svg = score_chart(good, defective, threshold)
    assert all(-60 <= value <= 600 for value in coordinates(svg))
    assert "score" in texts(svg)


def test_the_histogram_names_the_classes_and_the_threshold():
    shown = texts(score_chart(np.array([0.1, 0.2]), np.array([0.5, 0.6, 0.7]), 0.3))
    assert "good (2)" in shown
    assert "defective (3)" in shown
    assert "threshold 0.3" in shown


def test_a_class_that_is_not_there_is_not_named():
    shown = texts(score_chart(np.array([0.1, 0.2]), np.array([]), None))
    assert "good (2)" in shown
    assert not any("defective" in text or "threshold" in text for text in shown)


@pytest.mark.parametrize("value", [0.0, 0.3, 5.5])
def test_equal_scores(value):
    assert len(texts(score_chart(np.full(5, value), np.array([]), value))) > 5


@pytest.mark.parametrize("point", [None, (0.0, 1.0), (0.9, 0.1)])
def test_the_roc_curve_marks_the_operating_point(point):
    svg = roc_chart(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]), point)
    shown = texts(svg)
    assert {"recall", "false-alarm rate", "0 %", "100 %"} <= set(shown)
    assert ("at the threshold" in shown) == (point is not None)


def along(group, axis, value):
    """The SVG's pixel of a value, by what a group that moves says of its axis."""
    first, last, start, end = map(float, group.attrib[f"data-{axis}"].split())
    return start + (value - first) / (last - first) * (end - start)


def group_of(svg, name):
    (group,) = [element for element in ElementTree.fromstring(svg).iter("g") if element.get("class") == name]
    return group


@given(scores.filter(len), scores, st.floats(0, 6))
def test_a_script_can_tell_where_another_threshold_is(good, defective, threshold):
    group = group_of(score_chart(good, defective, threshold), "moves-to-threshold")
    x = float(group.find("path").attrib["d"][1:].split()[0])
    assert along(group, "x", threshold) == pytest.approx(x, abs=0.06)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_script_can_tell_where_other_rates_are(false_alarm_rate, recall):
    ends = np.array([0.0, 1.0])
    group = group_of(roc_chart(ends, ends, (false_alarm_rate, recall)), "moves-to-rates")
    circle = group.find("circle")
    assert along(group, "x", false_alarm_rate) == pytest.approx(float(circle.attrib["cx"]), abs=0.06)
    assert along(group, "y", recall) == pytest.approx(float(circle.attrib["cy"]), abs=0.06)
