"""The student of reverse distillation: one-class embedding, then a decoder that reconstructs the teacher's features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn

from edgerd.errors import InputError
from edgerd.models.bottleneck import OneClassEmbedding
from edgerd.models.decoder import Decoder
from edgerd.models.teachers.teacher import Features, TeacherInfo


@dataclass(frozen=True)
class StudentInfo:
    """How large a student is beside its teacher.

    Attributes:
        embedding_depth: Blocks of the one-class embedding; None for the paper's (2 basic, 3 bottleneck).
        decoder_depth: Blocks per decoder stage; None for the teacher's own depths.
        width: Decoder channels as a fraction of the teacher's; below 1, a 1x1 convolution per scale makes up for it.
    """

    embedding_depth: int | None = None
    decoder_depth: int | None = None
    width: float = 1.0


STUDENTS: Final = {"full": StudentInfo(), "light": StudentInfo(embedding_depth=1, decoder_depth=1, width=0.5)}


class Student(nn.Module):
    """Bottleneck and decoder (Deng & Li, section 3.1 to 3.3).

    Args:
        teacher: The teacher whose features are reconstructed.
        info: How large the student is.
        finest: Index of the finest of the teacher's stages that is reconstructed: 0 for all three, as in the paper.
    """

    def __init__(self, teacher: TeacherInfo, info: StudentInfo = STUDENTS["full"], finest: int = 0) -> None:
        super().__init__()
        self.finest = finest
        depth = info.embedding_depth or (3 if teacher.block.kind == "bottleneck" else 2)
        self.bottleneck = OneClassEmbedding(teacher.channels, teacher.block, depth)
        depths = teacher.depths if info.decoder_depth is None else (info.decoder_depth,) * 3
        self.decoder = Decoder(teacher, depths, info.width, finest)

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """The teacher's features, finest first -> those from `finest` on, reconstructed; same shapes and order."""
        reconstruction: tuple[Tensor, ...] = self.decoder(self.bottleneck(features))
        return reconstruction


def student_info(name: str) -> StudentInfo:
    """The size of a student by name.

    Raises:
        InputError: There is no such student.
    """
    if name not in STUDENTS:
        raise InputError(f"There is no student named {name!r}.", expected=f"one of {', '.join(STUDENTS)}")
    return STUDENTS[name]


def make_student(teacher: TeacherInfo, name: str = "full", finest: int = 0) -> Student:
    """A student with new weights, drawn from torch's current random state.

    Args:
        teacher: The teacher whose features are reconstructed.
        name: An entry of `STUDENTS`.
        finest: Index of the finest of the teacher's stages that is reconstructed, 0 to 2.

    Raises:
        InputError: There is no such student.
    """
    return Student(teacher, student_info(name), finest)
