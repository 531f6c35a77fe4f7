"""Fits the mean and spread of the features at each position, and makes honest maps: each by the other pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgerd.models.positions import Positions
from edgerd.models.prototypes import pooled
from edgerd.models.teachers import TeacherInfo
from edgerd.training.stored_features import FeatureStore
from edgerd.types import Float32Array

LEAST_VARIANCE = 0.05
"""This share of a channel's variance over all positions is added to its variance at each position. Otherwise, where all
pictures are alike, chance or the rounding of INT8 would look like a defect."""
_SMALLEST_VARIANCE = 1e-12


@torch.no_grad()
def position_statistics(
    store: FeatureStore, owners: npt.NDArray[np.intp], info: TeacherInfo
) -> tuple[Positions, Float32Array]:
    """Fit the statistics, and make a map of each picture by the statistics of all others.

    Args:
        store: Features of the good pictures' tiles. All tiles share one set of positions.
        owners: intp (tiles,): index of each tile's picture, in ascending order; two pictures at least.
        info: The teacher that the features are from.

    Returns:
        The statistics of all pictures, and the honest map of each tile, float32 (tiles, h3, w3).
    """
    totals = [torch.zeros(()), torch.zeros(())]
    for _, patches in _pictures(store, owners):
        totals = [totals[0] + patches.sum(0), totals[1] + patches.square().sum(0)]
    height, width = store.stages[2].shape[2:]
    positions = Positions(info, height, width)
    positions.mean[:], variance = _moments(totals, len(store))
    over_all = variance.mean((1, 2)) + positions.mean.var((1, 2), unbiased=False)
    least = (LEAST_VARIANCE * over_all)[:, None, None].clamp_min(_SMALLEST_VARIANCE)
    positions.spread[:] = (variance + least).sqrt()
    maps = []
    for n, patches in _pictures(store, owners):
        others = [totals[0] - patches.sum(0), totals[1] - patches.square().sum(0)]
        mean, variance = _moments(others, len(store) - n)
        maps.append(((patches - mean).square() / (variance + least)).mean(1).sqrt())
    return positions, torch.cat(maps).float().numpy()


def _pictures(store: FeatureStore, owners: npt.NDArray[np.intp]) -> Iterator[tuple[int, Tensor]]:
    """For each picture the number of its tiles, and their patches, float64 (tiles, C, h3, w3)."""
    for owner in range(int(owners[-1]) + 1):
        rows = np.flatnonzero(owners == owner)
        yield len(rows), pooled(store[rows], 1).double()


def _moments(totals: list[Tensor], n: int) -> tuple[Tensor, Tensor]:
    """Mean and variance, float64 (C, h3, w3), from the sums of n values and of their squares."""
    mean = totals[0] / n
    return mean, (totals[1] / n - mean.square()).clamp_min(0)
