"""A choice of thresholds: how many defective pictures each finds, and how many false alarms it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.errors import InputError
from edgerd.evaluation.threshold import threshold_from_scores

RATES = (0.001, 0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True)
class TradeOff:
    """One threshold, with what it finds and costs.

    Attributes:
        threshold: The threshold, and how it was found.
        n_found: Number of defective pictures above it.
        false_alarms_per_1000: Expected false alarms in 1000 good parts; for an extrapolated threshold, as many as were
            asked for.
        is_current: Whether it is the bundle's threshold.
    """

    threshold: ThresholdRecord
    n_found: int
    false_alarms_per_1000: float
    is_current: bool


def trade_offs(
    good_scores: npt.ArrayLike,
    defect_scores: npt.ArrayLike,
    current: ThresholdRecord | None,
) -> tuple[TradeOff, ...]:
    """The thresholds for the false-alarm rates `RATES`, and the current one; the highest first.

    Args:
        good_scores: (n,), any float type: scores of good pictures by models that never saw them.
        defect_scores: (m,), any float type: scores of defective pictures.
        current: The bundle's threshold; None where it has none.

    Raises:
        InputError: Too few good scores, or a score that is not finite.
    """
    defective = np.asarray(defect_scores, np.float64)
    if not np.isfinite(defective).all():
        raise InputError(
            f"{np.count_nonzero(~np.isfinite(defective))} of {defective.size} scores of defects are not finite.",
            expected="finite scores",
            hint="Export the bundle again.",
        )
    others = [threshold_from_scores(good_scores, rate) for rate in RATES]
    if current is not None:
        others = [record for record in others if not np.isclose(record.value, current.value, rtol=1e-9, atol=0.0)]
    records = sorted([*others, *([] if current is None else [current])], key=lambda record: -record.value)
    return tuple(
        TradeOff(record, int((defective > record.value).sum()), _per_1000(record), record is current)
        for record in records
    )


def _per_1000(record: ThresholdRecord) -> float:
    """The expected number of false alarms in 1000 good parts: the rate follows Beta(n + 1 - k, k), k the rank."""
    if record.rank is None:
        return 1000 * record.false_alarm_rate
    return 1000 * (record.n_good + 1 - record.rank) / (record.n_good + 1)
