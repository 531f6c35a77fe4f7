"""The result of training: the networks that a bundle's graph is exported from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from edgerd.models.fusion import RD4AD_FUSION, Fusion
from edgerd.models.positions import Positions
from edgerd.models.prototypes import Prototypes
from edgerd.models.student import Student
from edgerd.models.teachers import Teacher
from edgerd.models.teachers.teacher import Features


@dataclass(frozen=True, eq=False)
class Networks:
    """A teacher and the networks that make maps of its features, all in eval mode.

    Attributes:
        teacher: The frozen teacher.
        student: Reconstructs the teacher's features; None for prototypes alone.
        prototypes: Patches of good parts; None for a student alone.
        positions: Statistics of each position of good parts; None for a student alone.
        fusion: The weights of the maps of student, prototypes and positions, in this order.
    """

    teacher: Teacher
    student: Student | None
    prototypes: Prototypes | None = None
    positions: Positions | None = None
    fusion: Fusion = RD4AD_FUSION

    def maps(self, features: Features) -> tuple[Tensor, ...]:
        """The teacher's features -> the maps that are fused, float32 (N, h_k, w_k)."""
        return (
            *(cosine_maps(features[self.student.finest :], self.student(features)) if self.student else ()),
            *(self.prototypes(features) if self.prototypes else ()),
            *([self.positions(features)] if self.positions else ()),
        )


def cosine_maps(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """1 - cosine along the channels, per scale: float32 (N, h_k, w_k), 0 to 2.

    Args:
        teacher: The teacher's features of some stages, each (N, c_k, h_k, w_k).
        student: The student's reconstruction of the same stages.
    """
    return tuple(1.0 - F.cosine_similarity(t.float(), s.float(), dim=1) for t, s in zip(teacher, student, strict=True))
