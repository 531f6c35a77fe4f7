"""The gate lets an engine through only if it says what the FP32 graph says."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given as cases
from hypothesis import strategies as st

from edgerd.acceptance.gate import Budget, Labels, Outputs, compare, own_threshold, rank_correlation
from edgerd.bundle.manifest import GateCheck, GateReport
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.runtimes.protocol import Maps

RATE = 0.1
GOOD = tuple(np.linspace(0.1, 0.4, 30))
THRESHOLD = threshold_from_scores(GOOD, RATE)
BUDGET = Budget(max_map_error=0.1)


def maps(score: float, spot: float | None = None) -> Maps:
    """A map of one value, with a spot in its upper left corner if one is given."""
    anomaly_map = np.full((1, 8, 8), score, np.float32)
    if spot is not None:
        anomaly_map[0, :2, :2] = spot
    return Maps(anomaly_map.max(axis=(1, 2)), anomaly_map)


def outputs(scores, labelled=(), labels=None, pasted=()) -> Outputs:
    good = [maps(score) for score in scores]
    return Outputs(good, len(good), labelled, labels or Labels(), [maps(score) for score in pasted])


REFERENCE = outputs(GOOD)


def off_by(error: float, budget: Budget = BUDGET) -> GateReport:
    """Of an engine whose maps are off by a constant."""
    return compare(outputs([score + error for score in GOOD]), REFERENCE, THRESHOLD, budget)


def check(gate: GateReport, name: str) -> GateCheck:
    (found,) = (check for check in gate.checks if check.name == name)
    return found


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
    """An engine runs with its own threshold; how many the old one would flip is told, and not judged."""
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


def test_an_extrapolated_threshold_is_not_fitted_again():
    """A tail that is fitted to few scores makes much of little: that is no fault of the engine."""
    rate = 0.01
    scores = np.array(GOOD)
    scores[-11] += 0.02  # what the tail begins from
    reference = outputs(GOOD, [maps(0.51)] * 20, LABELS)
    ours = replace(reference, good=[maps(score) for score in scores])
    threshold = threshold_from_scores(GOOD, rate)
    assert threshold_from_scores(scores, rate).value < 0.51 < threshold.value
    gate = compare(ours, reference, threshold, BUDGET)
    assert check(gate, "flipped, own thresholds").measured == 0


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
    loose = Budget(max_map_error=9.0, max_flipped=1.0)
    gate = compare(outputs(GOOD[::-1]), REFERENCE, THRESHOLD, loose)
    assert gate.failures == ("score rank correlation: -1; at least 0.95",)
    gate = compare(outputs(GOOD[9::-1]), outputs(GOOD[:10]), THRESHOLD, loose)
    assert gate.passed
    assert check(gate, "score rank correlation").note == "10 pictures that training never saw; 20 are needed"


DEFECTS = ("good",) * 10 + ("crack",) * 10
SPOT = np.zeros((1, 8, 8), bool)
SPOT[0, :2, :2] = True
LABELS = Labels(DEFECTS, (np.zeros_like(SPOT),) * 10 + (SPOT,) * 10)
LABELLED = [maps(0.2)] * 10 + [maps(0.2, spot=0.6)] * 10
LABELLED_REFERENCE = outputs(GOOD, LABELLED, LABELS)


def with_labelled(*changed: Maps, labels: Labels = LABELS, **budget: float) -> GateReport:
    """Of an engine that gives the same, but for the last labelled pictures."""
    ours = outputs(GOOD, [*LABELLED[: 20 - len(changed)], *changed], labels)
    return compare(ours, replace(LABELLED_REFERENCE, labels=labels), THRESHOLD, Budget(max_map_error=9.0, **budget))


def test_labelled_pictures_are_compared_too():
    gate = with_labelled()
    assert gate.passed
    assert (gate.n_pictures, gate.n_labelled) == (50, 20)
    for name in ("false-alarm rate change", "image AUROC drop", "pixel AUROC drop", "AUPRO drop"):
        assert check(gate, name).measured == 0
        assert check(gate, name).passed


def test_a_defect_that_is_no_longer_found_is_refused_in_every_figure():
    gate = with_labelled(maps(0.15))
    failed = [check.name for check in gate.checks if check.passed is False]
    assert failed == [
        "score rank correlation",
        "flipped, own thresholds",
        "image AUROC drop",
        "pixel AUROC drop",
        "AUPRO drop",
    ]
    assert check(gate, "image AUROC drop").note == "1.0000 to 0.9000"
    assert check(gate, "flipped, own thresholds").measured == pytest.approx(1 / 50)


def test_more_auroc_may_be_lost_if_one_says_so():
    assert with_labelled(maps(0.15), max_auroc_drop=0.2, max_flipped=0.02, min_rank_correlation=0.9).passed


def test_an_engine_that_is_better_than_fp32_passes():
    reference = outputs(GOOD, [*LABELLED[:19], maps(0.55, spot=0.15)], LABELS)
    gate = compare(LABELLED_REFERENCE, reference, THRESHOLD, Budget(max_map_error=9.0))
    assert gate.passed
    assert check(gate, "pixel AUROC drop").measured < 0


def test_good_pictures_that_raise_alarms_are_refused():
    ours = outputs(GOOD, [*[maps(0.45)] * 2, *LABELLED[2:]], LABELS)
    gate = compare(ours, LABELLED_REFERENCE, THRESHOLD, Budget(max_map_error=9.0))
    alarms = check(gate, "false-alarm rate change")
    assert (alarms.measured, alarms.allowed) == (0.2, 0.1)  # of ten pictures one may change
    assert alarms.note == "0.000 to 0.200 on 10 labelled good pictures"
    assert f"false-alarm rate change: 0.2; at most 0.1 ({alarms.note})" in gate.failures


def test_without_masks_pixel_figures_are_not_judged():
    gate = with_labelled(maps(0.2, spot=0.59), labels=Labels(DEFECTS, (None,) * 20))
    assert gate.passed
    assert check(gate, "image AUROC drop").passed
    assert check(gate, "AUPRO drop").passed is None
    assert check(gate, "AUPRO drop").note == "needs masks"


def test_defective_pictures_alone_have_no_auroc():
    labels = Labels(("crack",) * 20, (SPOT,) * 20)
    gate = with_labelled(labels=labels)
    assert check(gate, "image AUROC drop").passed is None
    assert check(gate, "false-alarm rate change").passed is None


PASTED = tuple(np.linspace(0.3, 0.9, 48))


def with_pasted(scores, **budget: float) -> GateReport:
    return compare(
        outputs(GOOD, pasted=scores), outputs(GOOD, pasted=PASTED), THRESHOLD, Budget(max_map_error=9.0, **budget)
    )


def test_pasted_defects_that_are_no_longer_found_are_refused():
    """Good pictures alone do not show what becomes of a defect."""
    kept = with_pasted(PASTED)
    assert kept.passed
    assert check(kept, "pasted defects lost").measured == 0
    lost = with_pasted([*PASTED[:40], *[0.2] * 8])
    assert lost.failures == ("pasted defects lost: 0.1667; at most 0.05 (41 to 33 of 48 found; 8 verdicts differ)",)
    assert with_pasted([*PASTED[:40], *[0.2] * 8], max_pasted_drop=0.2).passed


def test_the_order_of_pictures_that_were_trained_on_says_nothing():
    """They score almost alike, and rounding orders them anew; pasted defects show what scores mean."""
    seen = [maps(0.5 + 0.0001 * index) for index in range(30)]
    reference = Outputs(seen, 0, pasted=[maps(score) for score in PASTED])
    fp32 = threshold_from_scores(np.linspace(0.3, 0.6, 200), 0.01)
    gate = compare(replace(reference, good=seen[::-1]), reference, fp32, BUDGET)
    assert check(gate, "score rank correlation").passed is None
    assert check(gate, "score correlation, pasted too").passed
    shuffled = compare(replace(reference, pasted=reference.pasted[::-1]), reference, fp32, BUDGET)
    assert check(shuffled, "score correlation, pasted too").passed is False


def test_pasted_defects_are_no_pictures_of_the_other_checks():
    gate = with_pasted([0.9] * 48)
    assert gate.n_pictures == len(GOOD)
    assert gate.max_map_error == 0
    assert with_pasted([*PASTED[:47], float("nan")]).failures == ("maps with NaN or inf: 1; at most 0",)


def test_where_training_saw_all_good_pictures_the_threshold_moves_as_scores_near_it_did():
    """INT8 that halves what it adds to low scores: the good pictures' scores say nothing about the threshold."""
    threshold = threshold_from_scores(np.linspace(0.3, 0.6, 200), 0.01)  # scores of models that are gone
    reference = Outputs([maps(score) for score in GOOD], 0, pasted=[maps(score) for score in PASTED])
    given = Outputs([maps(score / 2) for score in GOOD], 0, pasted=[maps(score + 0.02) for score in PASTED])
    own = own_threshold(given, reference, threshold)
    assert own.value == pytest.approx(threshold.value + 0.02, abs=1e-6)
    assert (own.n_good, own.rank, own.extrapolated) == (200, threshold.rank, False)


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
