"""What training shows: a bar on a terminal, a line per epoch or student in a log."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edgerd.cli.progress import ProgressDisplay, clock

if TYPE_CHECKING:
    from edgerd.training.step_report import StepReport

_SMOOTHING = 0.95
"""The loss shown is averaged over about twenty steps."""


class TrainingProgress:
    """Shows epoch, loss and time left on stderr; a context manager.

    Args:
        stop: Where it is set, the bar says that training is about to stop.

    Attributes:
        loss: The smoothed loss, 0 to 6; None before the first step.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.loss: float | None = None
        self._stop = stop
        self._shown = ProgressDisplay()
        self._shown.begin("training")
        self._started_s = time.monotonic()
        self._n_steps_seen = 0

    def __enter__(self) -> TrainingProgress:
        self._shown.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.__exit__()

    def update(self, report: StepReport) -> None:
        """Take in a step that was made."""
        self.loss = report.loss if self.loss is None else _SMOOTHING * self.loss + (1 - _SMOOTHING) * report.loss
        self._n_steps_seen += 1
        if self._shown.redraws:
            unit = f"{report.unit} {report.progress.epoch + 1}{', stopping' if self._stop.is_set() else ''}"
            note = f"{unit}  loss {self.loss:.4f}"
            if self._n_steps_seen == 1:
                self._shown.phase("", report.n_steps, "steps")
            self._shown.update(report.progress.total_steps, note=note)
        elif report.progress.step == report.steps_per_epoch or report.progress.total_steps == report.n_steps:
            self._shown.log(self._log_line(report, self.loss))

    def _log_line(self, report: StepReport, loss: float) -> str:
        done, n_steps = report.progress.total_steps, report.n_steps
        left_s = (time.monotonic() - self._started_s) / self._n_steps_seen * (n_steps - done)
        n_epochs = -(-n_steps // report.steps_per_epoch)
        return (
            f"{report.unit} {report.progress.epoch + 1} of {n_epochs}  step {done} of {n_steps}  "
            f"loss {loss:.4f}  {clock(left_s)} left"
        )
