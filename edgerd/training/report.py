"""What training tells while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from edgerd.errors import WeightsError
from edgerd.training.checkpoint import Progress


@dataclass(frozen=True)
class StepReport:
    """Told after each step: where training stands, of how many steps, and the loss of this one.

    Attributes:
        progress: Where training stands.
        n_steps: In all.
        steps_per_epoch: Of which a line in a log is due.
        loss: 0 to 2 per scale.
        unit: What `steps_per_epoch` steps are: an epoch, or a student.
    """

    progress: Progress
    n_steps: int
    steps_per_epoch: int
    loss: float
    unit: str = "epoch"


def finite(loss: Tensor, when: str) -> float:
    """A step's loss as a number.

    Args:
        loss: Scalar.
        when: For the message: "step 3".

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
