"""Teachers: frozen feature extractors with three stages. A new one is a file here and a line in the table."""

from __future__ import annotations

from typing import Final

from edgerd import tables
from edgerd.models.teachers.teacher import Teacher, TeacherInfo

TEACHERS: Final = {
    "lite0": "edgerd.models.teachers.lite:lite0",
    "resnet18": "edgerd.models.teachers.resnet:resnet18",
    "resnet34": "edgerd.models.teachers.resnet:resnet34",
    "resnet50": "edgerd.models.teachers.resnet:resnet50",
    "wide_resnet50_2": "edgerd.models.teachers.resnet:wide_resnet50_2",
}
TIMM_PREFIX: Final = "timm:"

__all__ = ["TEACHERS", "Teacher", "TeacherInfo", "make_teacher"]


def make_teacher(name: str) -> Teacher:
    """A teacher with random weights, frozen, in eval mode; `edgerd.models.weights` fills it.

    Args:
        name: An entry of `TEACHERS`, or "timm:<model>" for a backbone of timm.

    Raises:
        InputError: There is no such teacher.
        MissingDependencyError: timm is asked for and not installed.
    """
    if name.startswith(TIMM_PREFIX):
        from edgerd.models.teachers.timm_backbone import timm_backbone

        teacher: Teacher = timm_backbone(name.removeprefix(TIMM_PREFIX))
    else:
        teacher = tables.load(TEACHERS, name, "teacher")()
    return teacher.requires_grad_(False).eval()
