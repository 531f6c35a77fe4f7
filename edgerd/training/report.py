"""What training tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass

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
