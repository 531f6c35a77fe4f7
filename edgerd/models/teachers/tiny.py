"""The built-in teacher: a ResNet of one block per stage, distilled from ResNet18; comes with the package.

How it was made, and from which pictures: `edgerd/models/weights/README.md` and `tools/distill_tiny.py`.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from safetensors.torch import load_file

from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo


class Tiny(ResNet):
    """ResNet with 48, 96 and 192 channels, one basic block each."""

    def pretrained_here(self) -> dict[str, Any] | None:
        """The weights that came with the package."""
        with as_file(files("edgerd.models") / "weights" / "tiny.safetensors") as path:
            return dict(load_file(path))


def tiny() -> Tiny:
    """The built-in teacher."""
    return Tiny(TeacherInfo("tiny", (48, 96, 192), (1, 1, 1)), stem=32)
