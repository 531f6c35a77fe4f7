"""What a teacher is: a network that declares its stages, as timm's feature info does; nobody hard-codes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgerd.models.blocks import BlockSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Download:
    """Where pretrained weights come from: address and the first hex digits of the file's SHA-256."""

    url: str
    sha256_prefix: str


@dataclass(frozen=True)
class TeacherInfo:
    """What the student and the export must know of a teacher.

    Attributes:
        name: As in the table.
        channels: Of the three stages, finest first.
        strides: Of the three stages in input pixels; each twice the one before.
        depths: Blocks of each stage, which the decoder mirrors; ResNet18's where the teacher's are of another kind.
        block: The residual block that embedding and decoder are made of.
        mean: Of the input, RGB, on a scale of 0 to 1.
        std: Likewise.
        linear: Whether the stages end without an activation, so that features are signed. The student's features then
            pass a 1x1 convolution at every scale, since what its blocks give is never negative.
        download: Pretrained weights, or None where they come with the package or with timm.
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

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        raise NotImplementedError

    def first_convolution(self) -> nn.Conv2d:
        """The convolution that sees the picture: the export folds colour order and scale into it."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Teacher:  # noqa: ARG002  a teacher is always in eval mode
        """Stay in eval mode: the teacher's BatchNorm statistics are frozen (section 3.1 of the paper)."""
        super().train(mode=False)
        return self

    def pretrained_here(self) -> dict[str, Any] | None:
        """Weights that need neither file nor download, or None."""
        return None
