"""The gate lets an engine through only if it says what the FP32 graph says."""

from __future__ import annotations

import numpy as np
import pytest

from edgerd.building.gate import Budget, compare, rank_correlation
from edgerd.runtimes.protocol import Maps

THRESHOLD = 0.25


def maps(score: float) -> Maps:
    anomaly_map = np.full((1, 8, 8), score, np.float32)
    return Maps(anomaly_map.max(axis=(1, 2)), anomaly_map)


SCORES = (0.0, 0.1, 0.2, 0.3, 0.4)
REFERENCE = [maps(score) for score in SCORES]


def report(error: float, max_map_error: float = 0.1, max_flipped: float = 0.01):
    """Of an engine whose maps are off by a constant."""
    given = [maps(score + error) for score in SCORES]
    return compare(given, REFERENCE, THRESHOLD, Budget(max_map_error, max_flipped))


def test_an_engine_with_the_same_maps_passes():
    gate = report(0.0)
    assert gate.passed
    assert gate.max_map_error == 0
    assert gate.verdicts_flipped == 0
    assert gate.score_rank_correlation == 1.0


def test_maps_that_are_too_far_off_are_refused_with_both_figures():
    gate = report(0.02, max_map_error=0.01)
    assert not gate.passed
    assert gate.failures == ("the maps differ by 0.0200; 0.0100 is allowed",)


def test_a_flipped_verdict_is_refused():
    gate = report(0.06)
    assert gate.verdicts_flipped == 1
    assert gate.failures == ("1 of 5 verdicts flipped; 1% may",)


@pytest.mark.parametrize("error", [1e-6, 0.04])
def test_the_picture_that_the_threshold_was_taken_from_cannot_flip(error):
    """A conformal threshold is a score of one of these pictures; rounding alone would call that one NG."""
    given = [maps(score + error) for score in SCORES]
    gate = compare(given, REFERENCE, SCORES[3], Budget(0.1))
    assert gate.passed
    assert gate.verdicts_flipped == 0


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_whatever_the_budget(error):
    gate = report(error, max_map_error=1e9, max_flipped=1.0)
    assert not gate.passed
    assert not gate.finite
    assert "NaN or infinity" in gate.failures[0]
    gate.model_dump_json()  # and can be written down


def test_rank_correlation_is_spearmans():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=30), rng.normal(size=30)
    assert rank_correlation(left, right) == pytest.approx(stats.spearmanr(left, right).statistic)
    assert rank_correlation(left, -left) == -1.0
    assert rank_correlation(left[:2], right[:2]) is None
    assert rank_correlation(left, np.zeros(30)) is None
