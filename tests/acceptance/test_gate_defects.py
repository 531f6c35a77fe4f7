"""The gate on defective pictures, labelled or pasted: none that FP32 finds may be lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gate_outputs import BUDGET, GOOD, THRESHOLD, check, maps, outputs

from edgerd.acceptance.gate import Budget, compare, own_threshold
from edgerd.acceptance.outputs import Labels, Outputs
from edgerd.bundle.manifest import GateReport
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.runtimes.protocol import Maps


def test_an_extrapolated_threshold_is_not_fitted_again():
    """A tail that is fitted to few scores amplifies small differences, which is no fault of the engine."""
    rate = 0.01
    scores = np.array(GOOD)
    scores[-11] += 0.02  # what the tail begins from
    reference = outputs(GOOD, [maps(0.51)] * 20, LABELS)
    ours = replace(reference, good=[maps(score) for score in scores])
    threshold = threshold_from_scores(GOOD, rate)
    assert threshold_from_scores(scores, rate).value < 0.51 < threshold.value
    gate = compare(ours, reference, threshold, BUDGET)
    assert check(gate, "flipped, own thresholds").measured == 0


DEFECTS = ("good",) * 10 + ("crack",) * 10
SPOT = np.zeros((1, 8, 8), bool)
SPOT[0, :2, :2] = True
LABELS = Labels(DEFECTS, (np.zeros_like(SPOT),) * 10 + (SPOT,) * 10)
LABELLED = [maps(0.2)] * 10 + [maps(0.2, spot=0.6)] * 10
LABELLED_REFERENCE = outputs(GOOD, LABELLED, LABELS)


def with_labelled(*changed: Maps, labels: Labels = LABELS, **budget: float) -> GateReport:
    """The report on an engine whose maps differ from FP32's in the last labelled pictures alone."""
    ours = outputs(GOOD, [*LABELLED[: 20 - len(changed)], *changed], labels)
    allowed = Budget(max_map_error=9.0, max_mean_map_error=0.02, **budget)
    return compare(ours, replace(LABELLED_REFERENCE, labels=labels), THRESHOLD, allowed)


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
    allowed = Budget(max_map_error=9.0, max_mean_map_error=0.02, **budget)
    return compare(outputs(GOOD, pasted=scores), outputs(GOOD, pasted=PASTED), THRESHOLD, allowed)


def test_pasted_defects_that_are_no_longer_found_are_refused():
    """Good pictures alone do not show whether defects are still found."""
    kept = with_pasted(PASTED)
    assert kept.passed
    assert check(kept, "pasted defects lost").measured == 0
    lost = with_pasted([*PASTED[:40], *[0.2] * 8])
    assert lost.failures == ("pasted defects lost: 0.1667; at most 0.05 (41 to 33 of 48 found; 8 verdicts differ)",)
    assert with_pasted([*PASTED[:40], *[0.2] * 8], max_pasted_drop=0.2).passed


def test_the_order_of_pictures_that_were_trained_on_says_nothing():
    """Their scores are almost equal, so rounding changes the order; pasted defects spread the scores."""
    seen = [maps(0.5 + 0.0001 * index) for index in range(30)]
    reference = Outputs(seen, 0, pasted=[maps(score) for score in PASTED])
    fp32 = threshold_from_scores(np.linspace(0.3, 0.6, 200), 0.01)
    gate = compare(replace(reference, good=seen[::-1]), reference, fp32, BUDGET)
    assert check(gate, "score rank correlation").passed is None
    assert check(gate, "score correlation, pasted too").passed
    shuffled = compare(replace(reference, pasted=reference.pasted[::-1]), reference, fp32, BUDGET)
    assert check(shuffled, "score correlation, pasted too").passed is False


def test_the_order_of_pictures_that_score_almost_alike_says_nothing():
    """Sample parts of the demo: rounding that is let through changed their order, and INT8 and BF16 were refused."""
    rng = np.random.default_rng(0)
    alike = rng.normal(0.30, 0.01, 20)
    reference = outputs(alike, pasted=PASTED)
    fp32 = threshold_from_scores(np.linspace(0.2, 0.4, 200), 0.01)
    ours = outputs(alike + rng.normal(0, 0.01, 20), pasted=PASTED)
    gate = compare(ours, reference, fp32, Budget.usual(fp32.value))
    order = check(gate, "score rank correlation")
    assert order.passed is None
    assert order.measured < 0.95
    assert "to judge their order" in order.note
    assert check(gate, "score correlation, pasted too").passed
    assert gate.passed
    shuffled = compare(outputs(alike, pasted=PASTED[::-1]), reference, fp32, Budget.usual(fp32.value))
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
