"""The decoder: a ResNet run backwards (Deng & Li, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn

from edgerd.models.blocks import initialise
from edgerd.models.teachers.teacher import TeacherInfo


class Decoder(nn.Module):
    """Three residual stages that each double the resolution by a 2x2 stride-2 transposed convolution.

    Args:
        teacher: Whose features it gives back: their channels, and whether they are signed.
        depths: Blocks of each stage, in their own order from the deepest outward, as the official code does: [3, 4, 6]
            gives the stage next to the embedding three blocks.
        width: Channels as a fraction of the teacher's.
    """

    def __init__(self, teacher: TeacherInfo, depths: tuple[int, int, int], width: float = 1.0) -> None:
        super().__init__()
        block, channels = teacher.block, teacher.channels
        c1, c2, c3 = (int(c * width) for c in channels)
        self.stage3 = block.make_stage(2 * channels[2], c3, depths[0], "up")
        self.stage2 = block.make_stage(c3, c2, depths[1], "up")
        self.stage1 = block.make_stage(c2, c1, depths[2], "up")
        inner, outer = (c1, c2, c3), channels
        self.heads = nn.ModuleList(
            nn.Identity() if i == o and not teacher.linear else nn.Conv2d(i, o, 1)
            for i, o in zip(inner, outer, strict=True)
        )
        initialise(self)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embedding (N, 2 * c3, H / 32, W / 32) -> features at strides 4, 8, 16, finest first."""
        third = self.stage3(embedding)
        second = self.stage2(third)
        first = self.stage1(second)
        return self.heads[0](first), self.heads[1](second), self.heads[2](third)
