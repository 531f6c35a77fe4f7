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
