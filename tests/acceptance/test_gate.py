"""The gate passes an engine only if its maps and verdicts are those of the FP32 graph."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from gate_outputs import BUDGET, GOOD, REFERENCE, THRESHOLD, check, maps, outputs
from hypothesis import given as cases
from hypothesis import strategies as st

from edgerd.acceptance.gate import Budget, compare, rank_correlation
from edgerd.bundle.manifest import GateReport


def off_by(error: float, budget: Budget = BUDGET) -> GateReport:
    """The report on an engine whose maps are off by a constant."""
    return compare(outputs([score + error for score in GOOD]), REFERENCE, THRESHOLD, budget)


def test_an_engine_with_the_same_maps_passes():
    gate = off_by(0.0)
    assert gate.passed
    assert gate.max_map_error == gate.mean_map_error == 0
    assert gate.verdicts_flipped == 0
    assert gate.score_rank_correlation == 1.0
    assert {check.name for check in gate.checks if check.passed} == {
        "good pictures",
        "weights with NaN or inf",
        "maps with NaN or inf",
        "largest map error",
        "mean map error",
        "score rank correlation",
        "flipped, own thresholds",
    }


def test_equal_scores_share_a_rank():
    """INT8 gives many good parts the same score; which of them comes first says nothing."""
    scores = np.array([3.0, 1.0, 2.0, 4.0])
    assert rank_correlation(np.array([1.0, 1.0, 1.0, 2.0]), scores) == pytest.approx(0.7745966692414834)
    for left in itertools.permutations((1.0, 1.0, 2.0, 2.0)):
        assert rank_correlation(np.array(left), np.array(left) * 3) == pytest.approx(1.0)
        reversed_order = rank_correlation(np.array(left)[::-1], scores[::-1])
        assert rank_correlation(np.array(left), scores) == pytest.approx(reversed_order)


def test_maps_that_are_too_far_off_are_refused_with_both_figures():
    gate = off_by(0.02, Budget(max_map_error=0.01))
    assert not gate.passed
    assert gate.failures == ("largest map error: 0.02; at most 0.01", "mean map error: 0.02; at most 0.002")


def test_a_usual_budget_is_in_proportion_to_the_threshold():
    budget = Budget.usual(0.4)
    assert (budget.max_map_error, budget.max_mean_map_error) == pytest.approx((0.1, 0.01))
    assert off_by(0.009, budget).passed
    assert off_by(0.011, budget).failures == ("mean map error: 0.011; at most 0.01",)


def test_whole_maps_that_moved_are_refused_where_a_single_pixel_may():
    assert check(off_by(0.05), "largest map error").passed
    assert check(off_by(0.05), "mean map error").passed is False


def test_a_shift_of_all_scores_flips_nothing_because_the_threshold_moves_with_them():
    """An engine has its own threshold; how many verdicts FP32's would flip is reported, but is no failure."""
    gate = off_by(0.05, Budget(max_map_error=1.0))
    assert gate.passed
    assert gate.verdicts_flipped == 0
    told = check(gate, "flipped, FP32 threshold")
    assert told.measured == pytest.approx(4 / 30)
    assert told.passed is None
    # one more: the picture that FP32's threshold was taken from
    assert check(gate, "false-alarm rate change").measured == pytest.approx(5 / 30)


def test_verdicts_flipped_at_the_own_thresholds_are_refused():
    """Three good pictures that stood below the threshold stand above it, three others below."""
    scores = [*GOOD[3:], *GOOD[:3]]
    gate = compare(outputs(scores), REFERENCE, THRESHOLD, replace(BUDGET, max_map_error=9.0, min_rank_correlation=-1))
    assert gate.verdicts_flipped == 4  # of 6; two are the pictures that the thresholds were taken from
    assert gate.failures == ("flipped, own thresholds: 0.1333; at most 0.01 (4 of 30; one picture is 3.3%)",)


def test_pictures_that_the_thresholds_were_taken_from_cannot_flip():
    """A conformal threshold is a score of one of these pictures; rounding that swaps two neighbours says nothing."""
    order = np.argsort(GOOD)
    scores = np.array(GOOD)
    k = int(np.searchsorted(scores, THRESHOLD.value))
    scores[[order[k], order[k + 1]]] = scores[[order[k + 1], order[k]]]
    gate = compare(outputs(scores), REFERENCE, THRESHOLD, BUDGET)
    assert gate.passed
    assert gate.verdicts_flipped == 0


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_whatever_the_budget(error):
    gate = off_by(error, Budget(max_map_error=1e9, max_flipped=1.0))
    assert not gate.passed
    assert not gate.finite
    assert gate.failures == ("maps with NaN or inf: 30; at most 0",)
    gate.model_dump_json()  # and can be written down


def test_weights_that_are_not_finite_are_refused_where_the_maps_are():
    gate = compare(REFERENCE, REFERENCE, THRESHOLD, BUDGET, ["conv1/weight", "conv2/weight"])
    assert gate.failures == ("weights with NaN or inf: 2; at most 0 (conv1/weight)",)
    assert gate.finite


def test_too_few_good_pictures_are_no_judge():
    few = outputs(GOOD[:7])
    gate = compare(few, few, THRESHOLD, BUDGET)
    assert gate.failures == ("good pictures: 7; at least 8 (fewer cannot show whether verdicts flip)",)


def test_scores_in_another_order_are_refused_where_there_are_enough_of_them():
    loose = Budget(max_map_error=9.0, max_mean_map_error=0.02, max_flipped=1.0)
    spots = [maps(0.05, spot=score) for score in GOOD]
    reference = replace(REFERENCE, good=spots)
    gate = compare(replace(reference, good=spots[::-1]), reference, THRESHOLD, loose)
    assert gate.failures == ("score rank correlation: -1; at least 0.95",)
    few = replace(reference, good=spots[:10], n_never_seen=10)
    gate = compare(replace(few, good=spots[9::-1]), few, THRESHOLD, loose)
    assert gate.passed
    assert check(gate, "score rank correlation").note == "10 pictures that training never saw; 20 are needed"


@cases(st.lists(st.floats(-0.04, 0.04), min_size=30, max_size=30))
def test_a_report_passes_exactly_if_no_check_failed_and_is_within_its_budget(errors):
    gate = compare(outputs(np.add(GOOD, errors)), REFERENCE, THRESHOLD, BUDGET)
    assert gate.passed == (not gate.failures) == all(check.passed is not False for check in gate.checks)
    assert gate.max_map_error <= 0.0401
    assert GateReport.model_validate_json(gate.model_dump_json()) == gate


def test_rank_correlation_is_spearmans():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=30), rng.normal(size=30)
    assert rank_correlation(left, right) == pytest.approx(stats.spearmanr(left, right).statistic)
    assert rank_correlation(left, -left) == -1.0
    assert rank_correlation(left[:2], right[:2]) is None
    assert rank_correlation(left, np.zeros(30)) is None
