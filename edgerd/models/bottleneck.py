"""Multi-scale feature fusion and the one-class embedding (Deng & Li, section 3.2 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgerd.models.blocks import BlockSpec, conv_bn_relu_down, initialise
from edgerd.models.teachers.teacher import Features


class OneClassEmbedding(nn.Module):
    """Brings the teacher's three scales to the size of the third, and compresses them.

    The first scale passes through two 3x3 stride-2 convolutions with BatchNorm and ReLU, the second through one. All
    three are concatenated, and a residual stage of stride 2 embeds them in twice the third scale's channels.

    Args:
        channels: Channels of the teacher's three stages, finest first.
        block: The residual block of the embedding.
        depth: Blocks of the embedding.
    """

    def __init__(self, channels: tuple[int, int, int], block: BlockSpec, depth: int) -> None:
        super().__init__()
        first, second, third = channels
        self.down1 = nn.Sequential(conv_bn_relu_down(first, second), conv_bn_relu_down(second, third))
        self.down2 = conv_bn_relu_down(second, third)
        self.embedding = block.make_stage(3 * third, 2 * third, depth, "down")
        initialise(self)

    def forward(self, features: Features) -> Tensor:
        """Features at strides 4, 8, 16 -> embedding (N, 2 * c3, H / 32, W / 32)."""
        first, second, third = features
        embedding: Tensor = self.embedding(torch.cat([self.down1(first), self.down2(second), third], dim=1))
        return embedding
