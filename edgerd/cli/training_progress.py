"""What training shows: a progress bar on a terminal, a line per epoch in a log."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.fields[unit]} {task.fields[number]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  loss {task.fields[loss]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not self._terminal,
        )
        self._task = self._bar.add_task("training", total=None, unit="training", number="", loss="-")
        self._started_s = time.monotonic()
        self._n_steps_seen = 0

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, report: StepReport) -> None:
        """Take in a step that was made."""
        self.loss = report.loss if self.loss is None else _SMOOTHING * self.loss + (1 - _SMOOTHING) * report.loss
        self._n_steps_seen += 1
        if self._terminal:
            self._bar.update(
                self._task,
                total=report.n_steps,
                completed=report.progress.total_steps,
                unit=report.unit,
                number=f"{report.progress.epoch + 1}{' (stopping)' if self._stop.is_set() else ''}",
                loss=f"{self.loss:.4f}",
            )
        elif report.progress.step == report.steps_per_epoch or report.progress.total_steps == report.n_steps:
            click.echo(self._log_line(report, self.loss), err=True)

    def _log_line(self, report: StepReport, loss: float) -> str:
        done, n_steps = report.progress.total_steps, report.n_steps
        left_s = (time.monotonic() - self._started_s) / self._n_steps_seen * (n_steps - done)
        n_epochs = -(-n_steps // report.steps_per_epoch)
        return (
            f"{report.unit} {report.progress.epoch + 1} of {n_epochs}  step {done} of {n_steps}  "
            f"loss {loss:.4f}  {_minutes(left_s)} left"
        )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
