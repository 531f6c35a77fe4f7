"""Training methods: a loss and an optimiser each. A new one is a function here or in a file beside it, and a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgerd import tables

Features = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Method:
    """How a student is trained.

    Attributes:
        name: As in the table.
        loss: Teacher's and student's features -> scalar.
        optimiser: Parameters -> optimiser.
        epochs: How many by default.
    """

    name: str
    loss: Callable[[Features, Features], Tensor]
    optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    epochs: int


METHODS: Final = {"rd4ad": "edgerd.training.methods:rd4ad"}


def make_method(name: str) -> Method:
    """A method by name.

    Raises:
        InputError: There is no such method.
    """
    method: Method = tables.load(METHODS, name, "method")()
    return method


def rd4ad() -> Method:
    """Deng & Li, CVPR 2022, as the official code trains: Adam 5e-3, betas (0.5, 0.999), 200 epochs, last one kept."""
    return Method(
        "rd4ad",
        loss=global_cosine_loss,
        optimiser=lambda parameters: torch.optim.Adam(parameters, lr=5e-3, betas=(0.5, 0.999)),
        epochs=200,
    )


def global_cosine_loss(teacher: Features, student: Features) -> Tensor:
    """Sum over scales of the batch mean of 1 - cos, one cosine per picture and scale over all channels and positions.

    The official code's form; the paper's, one cosine per position, trains worse. Range 0 to 6, float32 whatever the
    features are: bfloat16 has 8 bits, and a cosine near 1 needs more.
    """
    losses = [
        1.0 - F.cosine_similarity(t.flatten(1).float(), s.flatten(1).float(), dim=1).mean()
        for t, s in zip(teacher, student, strict=True)
    ]
    return torch.stack(losses).sum()
