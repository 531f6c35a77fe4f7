"""The decoder: a ResNet run backwards (Deng & Li, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn

from edgerd.models.blocks import initialise
from edgerd.models.teachers.teacher import TeacherInfo


class Decoder(nn.Module):
    """Three residual stages that each double the resolution by a 2x2 stride-2 transposed convolution.

    Args:
        teacher: The teacher whose features are reconstructed: their channels, and whether they are signed.
        depths: Blocks of each decoder stage, from the deepest stage outward. As in the official code, a teacher's own
            depths are used in this order: (3, 4, 6) gives the stage next to the embedding three blocks.
        width: Channels as a fraction of the teacher's.
        finest: Index of the finest of the teacher's stages that is reconstructed, 0 to 2; the decoder has no stages
            for finer ones.
    """

    def __init__(self, teacher: TeacherInfo, depths: tuple[int, int, int], width: float = 1.0, finest: int = 0) -> None:
        super().__init__()
        block, channels = teacher.block, teacher.channels
        inner = [int(c * width) for c in channels]
        before = 2 * channels[2]
        for scale, depth in zip(range(2, finest - 1, -1), depths, strict=False):
            self.add_module(f"stage{scale + 1}", block.make_stage(before, inner[scale], depth, "up"))
            before = inner[scale]
        self.heads = nn.ModuleList(
            nn.Identity()
            if inner[scale] == channels[scale] and not teacher.linear
            else nn.Conv2d(inner[scale], channels[scale], 1)
            for scale in range(finest, 3)
        )
        initialise(self)

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """Embedding (N, 2 * c3, H / 32, W / 32) -> features at strides 4, 8, 16 from `finest` on, finest first."""
        features = []
        x = embedding
        for stage, head in zip(("stage3", "stage2", "stage1"), reversed(self.heads), strict=False):
            x = getattr(self, stage)(x)
            features.append(head(x))
        return tuple(reversed(features))
