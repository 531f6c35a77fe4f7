"""The report that training gives after each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from edgerd.errors import WeightsError
from edgerd.training.checkpoint import Progress


@dataclass(frozen=True)
class StepReport:
    """The report of one training step.

    Attributes:
        progress: How far training is, this step included.
        n_steps: Steps in all.
        steps_per_epoch: Steps after which a log has a line.
        loss: The loss of this step, 0 to 2 per scale.
        unit: What `steps_per_epoch` steps are: "epoch" or "student".
    """

    progress: Progress
    n_steps: int
    steps_per_epoch: int
    loss: float
    unit: str = "epoch"


def finite(loss: Tensor, when: str) -> float:
    """A step's loss as a number.

    Args:
        loss: A scalar.
        when: The step, for the error message: "step 3".

    Raises:
        WeightsError: It is NaN or infinite.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise WeightsError(
            f"The loss became {value} at {when}.",
            expected="a finite loss",
            hint="Check the teacher weights, then train again with another --seed.",
        )
    return value
