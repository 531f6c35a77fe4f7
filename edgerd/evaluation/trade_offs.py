"""What each of some thresholds finds, and what it costs: for a person who has a few defective pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.errors import InputError
from edgerd.evaluation.threshold import threshold_from_scores

RATES = (0.001, 0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True)
class TradeOff:
    """One threshold.

    Attributes:
        threshold: How it was found.
        n_found: Defective pictures above it.
        false_alarms_per_1000: Expected, of good parts; where it was extrapolated, what was asked for.
        is_current: Whether it is the bundle's.
    """

    threshold: ThresholdRecord
    n_found: int
    false_alarms_per_1000: float
    is_current: bool


def trade_offs(
    good_scores: npt.ArrayLike,
    defect_scores: npt.ArrayLike,
    current: ThresholdRecord | None,
    rates: Sequence[float] = RATES,
) -> tuple[TradeOff, ...]:
    """The thresholds for some false-alarm rates, and the current one, the highest first.

    Args:
        good_scores: (n,), any float type: of good pictures, by models that never saw them.
        defect_scores: (m,): of defective pictures.
        current: The bundle's threshold; None where it has none.
        rates: False-alarm rates.

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
    others = [threshold_from_scores(good_scores, rate) for rate in rates]
    if current is not None:
        others = [record for record in others if not np.isclose(record.value, current.value, rtol=1e-9, atol=0.0)]
    records = sorted([*others, *([] if current is None else [current])], key=lambda record: -record.value)
    return tuple(
        TradeOff(record, int((defective > record.value).sum()), _per_1000(record), record is current)
        for record in records
    )


def _per_1000(record: ThresholdRecord) -> float:
    """The rate's mean: that of Beta(n + 1 - k, k)."""
    if record.rank is None:
        return 1000 * record.false_alarm_rate
    return 1000 * (record.n_good + 1 - record.rank) / (record.n_good + 1)
