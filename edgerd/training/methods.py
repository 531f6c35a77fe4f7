"""Training methods. A new one is a file beside this one, and an entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from edgerd.errors import InputError
from edgerd.models.teachers import Teacher
from edgerd.tables import did_you_mean
from edgerd.training.checkpoint import Progress
from edgerd.training.device import DeviceName
from edgerd.training.report import StepReport
from edgerd.training.run import RunFolder


class Train(Protocol):
    """Trains a run until it is done or stopped; goes on from its checkpoint where there is one."""

    def __call__(
        self,
        run: RunFolder,
        teacher: Teacher,
        *,
        device: DeviceName = "auto",
        processes: int = 1,
        on_step: Callable[[StepReport], None] = ...,
        say: Callable[[str], None] = ...,
        should_stop: Callable[[], bool] = ...,
    ) -> Progress:
        """See `edgerd.training.edge.train_edge` and `edgerd.training.loop.train`."""


@dataclass(frozen=True)
class Method:
    """How a run is trained.

    Attributes:
        name: As in the table.
        has_student: Whether there is a student at all.
        cross_fits: Whether every good picture is trained on and has an honest score all the same; else some are held
            out for the threshold.
        options: What decides how long it trains and what the threshold is found from: names of `TrainingConfig`.
        student: The usual one.
        finest: The first of the teacher's stages that the student gives back.
    """

    name: str
    has_student: bool
    cross_fits: bool
    options: tuple[str, ...]
    student: str
    finest: int = 0

    @property
    def train(self) -> Train:
        """What trains."""
        if self.cross_fits:
            from edgerd.training.edge import train_edge

            return train_edge
        from edgerd.training.loop import train

        return train


METHODS: Final = {
    method.name: method
    for method in (
        Method("edge", True, True, ("steps", "cross_fit"), "light", finest=2),
        Method("prototypes", False, True, (), "light", finest=2),
        Method("rd4ad", True, False, ("epochs", "steps", "holdout"), "full"),
    )
}


def make_method(name: str) -> Method:
    """A method by name.

    Raises:
        InputError: There is no such method.
    """
    if name not in METHODS:
        raise InputError(
            f"There is no method named {name!r}.",
            expected=f"one of {', '.join(METHODS)}",
            hint=did_you_mean(name, METHODS),
        )
    return METHODS[name]
