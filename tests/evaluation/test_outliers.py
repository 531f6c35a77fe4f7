import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.evaluation.outliers import far_outside


def test_a_score_far_above_the_others_is_named_the_farthest_first():
    scores = [*np.linspace(0.2, 0.3, 20), 0.9, 0.25, 0.7]
    assert far_outside(scores) == (20, 22)


def test_a_score_far_below_is_no_defect():
    assert far_outside([*np.linspace(0.5, 0.6, 20), 0.0]) == ()


@pytest.mark.parametrize("scores", [[], [0.1], [0.1, 0.1, 9.0]])
def test_too_few_scores_say_nothing(scores):
    assert far_outside(scores) == ()


@given(st.lists(st.floats(0, 6), min_size=4, max_size=60), st.floats(0.1, 10), st.floats(-1, 1))
def test_units_do_not_matter(scores, factor, shift):
    """The scale of a method's scores does not matter, except where rounding decides."""
    far = far_outside(scores)
    moved = far_outside(np.multiply(scores, factor) + shift)
    margin = np.quantile(scores, 0.75) + 3 * np.ptp(np.quantile(scores, [0.25, 0.75]))
    unclear = {i for i, score in enumerate(scores) if abs(score - margin) < 1e-6}
    assert set(far) - unclear == set(moved) - unclear
