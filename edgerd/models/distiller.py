"""Feature distillation: a small teacher learns to say at every position what a large one says there.

Romero et al., "FitNets" (ICLR 2015): a 1x1 convolution per stage, thrown away afterwards, maps the small network's
features to the large one's. Targets are standardised per channel, so that rare channels count as much as loud ones.
The free projection would leave the angles between the small network's own features arbitrary, and angles are all that
reverse distillation looks at; so the cosine between any two positions is learned too (Tung & Mori,
"Similarity-Preserving Knowledge Distillation", ICCV 2019, there between pictures).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgerd.models.teachers.teacher import Teacher

_EPSILON = 1e-6
_POSITIONS = 512


@dataclass(frozen=True)
class StageLoss:
    """What one stage costs, each a scalar tensor.

    Attributes:
        angle: 1 - cosine between projected and standardised target features, mean over positions; 0 to 2.
        error: Squared error of the same in units of the target's variance; 1 is what predicting the mean costs.
        relation: Squared difference of the cosines between random pairs of positions, small network against large.
    """

    angle: Tensor
    error: Tensor
    relation: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.angle + self.error + _RELATION_WEIGHT * self.relation

    def detach(self) -> StageLoss:
        """The same numbers, without the graph that made them."""
        return StageLoss(self.angle.detach(), self.error.detach(), self.relation.detach())


_RELATION_WEIGHT = 5.0
"""Differences of cosines are small; this makes the three terms of like size."""


class Distiller(nn.Module):
    """A small teacher, the large one it learns from, and what stands between them.

    Args:
        large: Frozen, with weights.
        small: Learns; any `Teacher` with the same strides.
        statistics: Mean and standard deviation of each stage's channels, from `feature_statistics`.
    """

    def __init__(self, large: Teacher, small: Teacher, statistics: tuple[tuple[Tensor, Tensor], ...]) -> None:
        super().__init__()
        self.large = large
        self.small = small.requires_grad_(True)
        self.statistics = statistics
        pairs = zip(small.info.channels, large.info.channels, strict=True)
        self.projections = nn.ModuleList(nn.Conv2d(narrow, wide, 1) for narrow, wide in pairs)

    def train(self, mode: bool = True) -> Distiller:
        """The large network stays frozen; the small one, a teacher otherwise, collects BatchNorm statistics."""
        super().train(mode)
        nn.Module.train(self.small, mode)
        return self

    def forward(self, image: Tensor) -> tuple[StageLoss, ...]:
        """Normalised RGB (N, 3, H, W) -> the loss of each stage, finest first."""
        with torch.no_grad():
            targets = self.large(image)
        losses = []
        pairs = zip(self.small(image), targets, self.projections, self.statistics, strict=True)
        for features, target, projection, (mean, std) in pairs:
            wanted = (target.float() - mean[:, None, None]) / std[:, None, None]
            given = projection(features).float()
            angle = 1 - F.cosine_similarity(given, wanted, dim=1).mean()
            relation = _relation(features.float(), target.float())
            losses.append(StageLoss(angle, F.mse_loss(given, wanted), relation))
        return tuple(losses)


def _relation(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of the two networks' cosines, over all pairs of a sample of positions."""
    n_positions = features.shape[0] * features.shape[2] * features.shape[3]
    chosen = torch.randperm(n_positions)[:_POSITIONS]
    a, b = (F.normalize(x.permute(0, 2, 3, 1).reshape(n_positions, -1)[chosen], dim=1) for x in (features, target))
    return F.mse_loss(a @ a.T, b @ b.T)


@torch.no_grad()
def feature_statistics(teacher: Teacher, batches: Iterable[Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    """Mean and standard deviation of every channel over all positions of all pictures.

    Args:
        teacher: With weights.
        batches: Normalised RGB, float32 (N, 3, H, W); one at least.

    Returns:
        Per stage, finest first: mean and standard deviation, float32 (C,).
    """
    n_positions = [0] * len(teacher.info.channels)
    sums = [torch.zeros(channels) for channels in teacher.info.channels]
    squares = [torch.zeros(channels) for channels in teacher.info.channels]
    for image in batches:
        for stage, features in enumerate(teacher(image)):
            n_positions[stage] += features[:, 0].numel()
            sums[stage] += features.sum(dim=(0, 2, 3))
            squares[stage] += features.square().sum(dim=(0, 2, 3))
    result = []
    for n, total, square in zip(n_positions, sums, squares, strict=True):
        mean = total / n
        result.append((mean, (square / n - mean.square()).clamp_min(0).sqrt() + _EPSILON))
    return tuple(result)


def distil(
    distiller: Distiller, batches: Iterable[Tensor], n_steps: int, learning_rate: float = 2e-3
) -> Iterator[tuple[int, tuple[StageLoss, ...]]]:
    """Train the small teacher with AdamW under a one-cycle cosine schedule.

    Runs as it is iterated, so that the caller prints, saves and stops as it likes.

    Args:
        distiller: Left in evaluation mode when the last step is done.
        batches: Normalised RGB, float32 (N, 3, H, W); `n_steps` of them at least.
        n_steps: Length of the schedule.
        learning_rate: Its peak.

    Yields:
        The step, from 1, and each stage's loss.
    """
    parameters = [*distiller.small.parameters(), *distiller.projections.parameters()]
    optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=n_steps, pct_start=0.05)
    distiller.train()
    for step, image in zip(range(1, n_steps + 1), batches, strict=False):
        with torch.autocast("cpu", torch.bfloat16):
            losses = distiller(image)
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack([loss.total for loss in losses]).sum())
        optimizer.step()
        schedule.step()
        yield step, tuple(loss.detach() for loss in losses)
    distiller.eval()
