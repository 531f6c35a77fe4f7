"""How far each patch of a picture is from the nearest patch of good parts.

PatchCore's idea (Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022), made for the edge:
the teacher is small, the patches lie on the grid of its coarsest stage, and a few of them, the prototypes, stand for
all. A map of distances is then a 1x1 convolution with one filter per prototype and a minimum:

    |q - p|^2 = |q|^2 + min_p (|p|^2 - 2 q p)

Two banks look at the same features: one at each position alone, which shows what is small, and one at the mean of 3x3
positions, which shows what changes a larger part and is quiet on textures.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgerd.models.teachers.teacher import Features, TeacherInfo

WINDOWS: Final = (1, 3)
"""One window per bank: how many positions, in each direction, its features are averaged over."""
N_PROTOTYPES: Final = 1000
"""Prototypes per bank. Where there are fewer patches than this, some are repeated."""


class Prototypes(nn.Module):
    """Banks of patches of good parts, and the maps of distances to them.

    A patch is the features of the teacher's second and third stage at one of the third stage's positions, standardised
    by the mean and the spread of each channel. Nothing here is trained: `edgerd.training.choose_prototypes` fills in
    the buffers.

    Attributes:
        mean: float32 (len(WINDOWS), C), C = channels of the second and the third stage.
        spread: float32 (len(WINDOWS), C), standard deviation.
        points: float32 (len(WINDOWS), n, C), the prototypes, standardised.
        nearest: float32 (len(WINDOWS),), the smallest distance in each bank's map: smaller ones are raised to it.
    """

    mean: Tensor
    spread: Tensor
    points: Tensor
    nearest: Tensor

    def __init__(self, teacher: TeacherInfo, n: int) -> None:
        super().__init__()
        channels = sum(teacher.channels[1:])
        self.register_buffer("mean", torch.zeros(len(WINDOWS), channels))
        self.register_buffer("spread", torch.ones(len(WINDOWS), channels))
        self.register_buffer("points", torch.zeros(len(WINDOWS), n, channels))
        self.register_buffer("nearest", torch.zeros(len(WINDOWS)))

    def patches(self, features: Features, bank: int) -> Tensor:
        """The teacher's features -> standardised patches of a bank, float32 (N, C, h3, w3)."""
        mean, spread = self.mean[bank, :, None, None], self.spread[bank, :, None, None]
        return (pooled(features, WINDOWS[bank]) - mean) / spread

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """The teacher's features, finest first -> a map of distances per bank, float32 (N, h3, w3)."""
        return tuple(
            squared_distances(self.patches(features, bank), points).amin(1).clamp_min(self.nearest[bank] ** 2).sqrt()
            for bank, points in enumerate(self.points)
        )


def pooled(features: Features, window: int) -> Tensor:
    """The features that patches are made of: second and third stage at the third one's size, averaged over a window.

    Args:
        features: The teacher's features, finest first.
        window: Positions in each direction, odd; at the border, the mean is over the positions inside the picture.

    Returns:
        float32 (N, c2 + c3, h3, w3).
    """
    _, second, third = features
    both = torch.cat([F.avg_pool2d(second.float(), 2), third.float()], dim=1)
    return F.avg_pool2d(both, window, 1, window // 2, count_include_pad=False) if window > 1 else both


def squared_distances(patches: Tensor, points: Tensor) -> Tensor:
    """The squared distance between each patch and each prototype.

    Args:
        patches: float32 (N, C, h, w).
        points: float32 (n, C).

    Returns:
        float32 (N, n, h, w); rounding may leave a little below 0.
    """
    products = F.conv2d(patches, -2 * points[:, :, None, None], points.square().sum(1))
    return products + patches.square().sum(1, keepdim=True)
