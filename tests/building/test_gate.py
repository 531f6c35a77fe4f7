"""The gate lets an engine through only if it says what the FP32 graph says."""

from __future__ import annotations

import numpy as np
import pytest

from edgerd.building.gate import Budget, compare, rank_correlation
from edgerd.runtimes.protocol import Maps
from edgerd.types import UInt8Array

PICTURES = np.arange(5, dtype=np.uint8)[:, None, None, None, None] * np.ones((5, 1, 8, 8, 3), np.uint8)
THRESHOLD = 0.25


def maps(tiles: UInt8Array, error: float = 0.0) -> Maps:
    """Score 0.0, 0.1, ... 0.4 for the five pictures."""
    anomaly_map = np.full((1, 8, 8), float(tiles.flat[0]) / 10 + error, np.float32)
    return Maps(anomaly_map.max(axis=(1, 2)), anomaly_map)


class Engine:
    """An engine whose maps are off by a constant."""

    def __init__(self, error: float) -> None:
        self.error = error

    def infer(self, frames: UInt8Array) -> Maps:
        return maps(frames, self.error)


REFERENCE = [maps(tiles) for tiles in PICTURES]


def report(error: float, **budget: float):
    budget = Budget(**({"max_map_error": 0.1} | budget))
    return compare(Engine(error), REFERENCE, PICTURES, THRESHOLD, budget)


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
