"""Rates with their intervals, and which of them are poor.

`report.js` computes the same when the threshold is moved: who changes a rule or a rounding here changes it there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgerd.evaluation.intervals import wilson_interval

POOR_RECALL = 0.9
"""A recall below this is shown as poor."""
USUAL_FALSE_ALARM_RATE = 0.01
"""What `edgerd calibrate` asks for where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of pictures that was counted.

    Attributes:
        count: Number of pictures above the threshold; None without a threshold.
        n: Number of pictures.
    """

    count: int | None
    n: int

    @property
    def share(self) -> str:
        """The rate in percent, e.g. "93.8 %"; a dash where it is not known."""
        return "–" if self.count is None or not self.n else percent(self.count / self.n)

    @property
    def counted(self) -> str:
        """The rate as it was counted, e.g. "45 of 48"; a dash where it is not known."""
        return "–" if self.count is None or not self.n else f"{self.count} of {self.n}"

    @property
    def interval(self) -> str:
        """Wilson's 95 % interval, e.g. "83.2 % to 97.9 %"; a dash where it is not known."""
        if self.count is None or not self.n:
            return "–"
        low, high = wilson_interval(self.count, self.n)
        return f"{percent(low)} to {percent(high)}"

    @property
    def is_poor_recall(self) -> bool:
        """Whether this is too little, as the recall of defective pictures."""
        return self.count is not None and bool(self.n) and self.count / self.n < POOR_RECALL

    def is_poor_false_alarm_rate(self, asked: float) -> bool:
        """Whether this is too much, as a rate of false alarms: few pictures alone cannot explain it.

        Args:
            asked: The false-alarm rate that the threshold was found for, 0 to 1.
        """
        return self.count is not None and bool(self.n) and wilson_interval(self.count, self.n)[0] > asked


def percent(share: float) -> str:
    """A share with one decimal; halves are rounded up, as `report.js` does too (Python's own format differs there)."""
    return f"{math.floor(1000 * share + 0.5) / 10:.1f} %"
