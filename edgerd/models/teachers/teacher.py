"""The interface of a teacher: a network that declares its stages' channels and strides, like timm's feature info."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor, nn

from edgerd.models.blocks import BlockSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


Features: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""The features of a teacher's three stages, finest first, each (N, c_k, h_k, w_k)."""


@dataclass(frozen=True)
class Download:
    """Where pretrained weights come from: address and the first hex digits of the file's SHA-256."""

    url: str
    sha256_prefix: str


@dataclass(frozen=True)
class TeacherInfo:
    """What the student and the export must know of a teacher.

    Attributes:
        name: Its name in the table of teachers.
        channels: Channels of the three stages, finest first.
        depths: Blocks of the three stages, which the decoder mirrors; ResNet18's where the teacher is no ResNet.
        block: The residual block that embedding and decoder are made of.
        strides: Strides of the three stages in input pixels; each twice the one before.
        mean: Mean that inputs are normalised with, RGB, on a scale of 0 to 1.
        std: Standard deviation that inputs are normalised with, on the same scale.
        linear: Whether the stages end without an activation, so that features are signed. The student's features then
            pass through a 1x1 convolution at every scale, since the output of its blocks is never negative.
        download: Where pretrained weights are fetched; None where they come with the package or with timm.
    """

    name: str
    channels: tuple[int, int, int]
    depths: tuple[int, int, int]
    block: BlockSpec = field(default_factory=BlockSpec)
    strides: tuple[int, int, int] = (4, 8, 16)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    linear: bool = False
    download: Download | None = None


class Teacher(nn.Module):
    """A frozen feature extractor.

    `forward`: float32 (N, 3, H, W), RGB, normalised with `info.mean` and `info.std` -> three feature maps
    (N, info.channels[k], H / info.strides[k], W / info.strides[k]), finest first.
    """

    info: TeacherInfo

    def forward(self, image: Tensor) -> Features:
        """Features of normalised pictures, in the shapes that the class states."""
        raise NotImplementedError

    def first_convolution(self) -> nn.Conv2d:
        """The convolution that sees the picture: the export folds colour order and scale into it."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Teacher:  # noqa: ARG002  a teacher is always in eval mode
        """Stay in eval mode, whatever `mode` says: BatchNorm statistics are frozen (Deng & Li, section 3.1)."""
        super().train(mode=False)
        return self

    def pretrained_here(self) -> dict[str, Any] | None:
        """Weights that need neither file nor download, or None."""
        return None
