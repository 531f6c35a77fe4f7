"""Outputs of an engine and of the FP32 graph, as the gate compares them."""

from __future__ import annotations

import numpy as np

from edgerd.acceptance.gate import Budget
from edgerd.acceptance.outputs import Labels, Outputs
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


def check(gate: GateReport, name: str) -> GateCheck:
    (found,) = (check for check in gate.checks if check.name == name)
    return found
