"""Training methods. A new one is a file beside this one, and an entry in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from edgerd.errors import InputError
from edgerd.models.teachers import Teacher
from edgerd.tables import did_you_mean
from edgerd.training.checkpoint import Progress
from edgerd.training.device import DeviceName
from edgerd.training.run import RunFolder
from edgerd.training.step_report import StepReport


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
        """Train, with arguments and errors as in `edgerd.training.edge.train_edge`."""


@dataclass(frozen=True)
class Method:
    """How a run is trained.

    Attributes:
        name: Its name in `METHODS`.
        has_student: Whether a student is trained.
        cross_fits: Whether all good pictures are trained on, and each is scored by models that never saw it; otherwise
            some pictures are held out for the threshold.
        options: The fields of `TrainingConfig` that this method uses for the length of the training and the threshold.
        student: Name of the student that is trained unless another is asked for.
        finest: Index of the finest of the teacher's stages that the student reconstructs.
    """

    name: str
    has_student: bool
    cross_fits: bool
    options: tuple[str, ...]
    student: str
    finest: int = 0

    @property
    def train(self) -> Train:
        """The function that trains a run by this method."""
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
    """The method of a name.

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
