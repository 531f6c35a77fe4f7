import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.errors import InputError
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.evaluation.trade_offs import RATES, trade_offs

GOOD = np.linspace(0.2, 0.4, 199)
DEFECTS = [0.1, 0.39, 0.399, 0.6, 0.9]


def test_each_threshold_says_what_it_finds_and_costs():
    rows = trade_offs(GOOD, DEFECTS, threshold_from_scores(GOOD, 0.01))
    assert [row.threshold.false_alarm_rate for row in rows] == list(RATES)
    assert [row.n_found for row in rows] == [2, 2, 3, 3, 3]
    assert [row.false_alarms_per_1000 for row in rows] == pytest.approx([1, 5, 10, 20, 50])
    assert [row.is_current for row in rows] == [False, False, True, False, False]
    assert [row.threshold.extrapolated for row in rows] == [True, False, False, False, False]


def test_a_current_threshold_of_another_rate_is_a_row_of_its_own():
    rows = trade_offs(GOOD, DEFECTS, threshold_from_scores(GOOD, 0.1))
    assert len(rows) == 6
    assert [row.is_current for row in rows] == [False] * 5 + [True]
    assert len(trade_offs(GOOD, DEFECTS, None)) == 5


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="1 of 2 scores of defects"):
        trade_offs(GOOD, [0.1, np.nan], None)


@given(st.lists(st.floats(0, 6), min_size=8, max_size=300), st.lists(st.floats(0, 6), min_size=1, max_size=30))
def test_a_lower_threshold_never_finds_less(good, defects):
    found = [row.n_found for row in trade_offs(good, defects, threshold_from_scores(good, 0.01))]
    assert found == sorted(found)
