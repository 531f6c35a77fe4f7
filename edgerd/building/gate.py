"""The gate: an engine is only installed if it says what the FP32 graph says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgerd.building.scores import scores_of
from edgerd.manifest import GateReport
from edgerd.runtimes.protocol import Maps

MAX_MAP_ERROR = 0.25
"""Largest difference of two maps, as a part of the threshold, that is let through by default."""
MAX_FLIPPED = 0.01
ON_THRESHOLD = 1e-4
"""Relative distance within which a score is the one that the threshold was taken from, whatever device computed it."""


@dataclass(frozen=True)
class Budget:
    """How far an engine may be from the FP32 graph.

    Attributes:
        max_map_error: Largest absolute difference of the maps, in units of the map.
        max_flipped: Largest share of pictures whose verdict changes.
    """

    max_map_error: float
    max_flipped: float = MAX_FLIPPED


def compare(given: Sequence[Maps], reference: Sequence[Maps], threshold: float, budget: Budget) -> GateReport:
    """Compare what an engine gave with what the FP32 graph gave, picture by picture.

    Args:
        given: The engine's maps and scores, one entry per picture.
        reference: The FP32 graph's.
        threshold: The FP32 graph's; both are judged with it.
        budget: What is let through.
    """
    differences = [np.abs(a.anomaly_map - b.anomaly_map) for a, b in zip(given, reference, strict=True)]
    scores, wanted = scores_of(given), scores_of(reference)
    finite = all(bool(np.isfinite(maps.anomaly_map).all() and np.isfinite(maps.score).all()) for maps in given)
    # NaN is above every budget, but must not reach the manifest: infinity and NaN are not JSON
    worst = max(float(difference.max()) for difference in differences) if finite else float("inf")
    # the threshold is often one of these very scores: on which side of it that picture falls says nothing
    is_on_threshold = np.isclose(wanted, threshold, rtol=ON_THRESHOLD, atol=0.0)
    flipped = int((((scores > threshold) != (wanted > threshold)) & ~is_on_threshold).sum())
    failures = []
    if not finite:
        failures.append("maps with NaN or infinity")
    elif worst > budget.max_map_error:
        failures.append(f"the maps differ by {worst:.4f}; {budget.max_map_error:.4f} is allowed")
    if flipped > budget.max_flipped * len(given):
        failures.append(f"{flipped} of {len(given)} verdicts flipped; {budget.max_flipped:.0%} may")
    return GateReport(
        n_pictures=len(given),
        max_map_error=worst if finite else -1.0,
        mean_map_error=float(np.mean([difference.mean() for difference in differences])) if finite else -1.0,
        score_rank_correlation=rank_correlation(scores, wanted) if finite else None,
        verdicts_flipped=flipped,
        finite=finite,
        passed=not failures,
        failures=tuple(failures),
    )


def rank_correlation(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float | None:
    """Spearman's correlation, ties broken by order; None with fewer than 3 values or without variation."""
    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (left, right)]
    n, distance = len(left), int(((ranks[0] - ranks[1]) ** 2).sum())
    return 1.0 - 6.0 * distance / (n * (n * n - 1))
