"""Choosing the patches of good parts that stand for all others, by greedy k-centre.

An honest map of a picture is one by a model that never saw the picture: here, by the prototypes of other pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgerd.models.prototypes import WINDOWS, Prototypes, pooled, squared_distances
from edgerd.models.teachers import TeacherInfo
from edgerd.training.stored_features import FeatureStore
from edgerd.types import Float32Array

N_CANDIDATES = 30_000
"""About how many random patches the prototypes are chosen from."""
_PROJECTED = 64
"""Dimensions in which patches are compared while they are chosen: a random projection keeps distances (Johnson and
Lindenstrauss, 1984), and PatchCore uses one for the same purpose."""
_SMALLEST_SPREAD = 1e-6
_ROWS_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Chosen:
    """Prototypes, and where each came from.

    Attributes:
        prototypes: All buffers are set but `nearest`.
        owners: int64 (banks, n): index of the picture that each prototype was taken from.
    """

    prototypes: Prototypes
    owners: Tensor


@torch.no_grad()
def choose_prototypes(
    store: FeatureStore, owners: npt.NDArray[np.intp], info: TeacherInfo, seed: int, n: int
) -> Chosen:
    """Choose prototypes from the features of good pictures.

    Args:
        store: Features of the pictures' tiles.
        owners: intp (tiles,): index of the picture that each tile belongs to.
        info: The teacher that the features are from.
        seed: Seed of the random patches.
        n: Prototypes per bank.
    """
    rng = np.random.default_rng(seed)
    prototypes = Prototypes(info, n)
    chosen_owners = torch.zeros(len(WINDOWS), n, dtype=torch.int64)
    positions = _random_positions(len(store), store.stages[2][0, 0].size, rng)
    for bank, window in enumerate(WINDOWS):
        candidates, tile_of = _candidates(store, positions, window)
        prototypes.mean[bank] = candidates.mean(0)
        prototypes.spread[bank] = candidates.std(0).clamp_min(_SMALLEST_SPREAD)
        candidates = (candidates - prototypes.mean[bank]) / prototypes.spread[bank]
        chosen = farthest_first(candidates, min(n, len(candidates)), seed)
        chosen = chosen[torch.arange(n) % len(chosen)]
        prototypes.points[bank] = candidates[chosen]
        chosen_owners[bank] = torch.from_numpy(owners)[tile_of[chosen]]
    return Chosen(prototypes, chosen_owners)


def farthest_first(points: Tensor, n: int, seed: int = 0) -> Tensor:
    """Greedy k-centre: each chosen point is the one that is farthest from all chosen before it.

    Args:
        points: float32 (m, d).
        n: How many to choose, m at most.
        seed: Seed of the random projection and of the first point.

    Returns:
        int64 (n,): indices of the chosen points.
    """
    random = torch.Generator().manual_seed(seed)
    if points.shape[1] > _PROJECTED:
        points = points @ torch.randn(points.shape[1], _PROJECTED, generator=random) / math.sqrt(_PROJECTED)
    squares = points.square().sum(1)
    nearest = torch.full((len(points),), math.inf)
    chosen = torch.empty(n, dtype=torch.int64)
    farthest = int(torch.randint(len(points), (1,), generator=random))
    for index in range(n):
        chosen[index] = farthest
        to_last = torch.addmv(squares, points, points[farthest], alpha=-2).add_(squares[farthest])
        torch.minimum(nearest, to_last, out=nearest)
        farthest = int(nearest.argmax())
    return chosen


@torch.no_grad()
def honest_maps(chosen: Chosen, store: FeatureStore, owners: npt.NDArray[np.intp]) -> tuple[Float32Array, ...]:
    """Maps of each tile by the prototypes of other pictures than its own.

    The distances are those of a picture that no prototype was taken from, or a little larger: prototypes of the own
    picture that stand for patches of other pictures as well are missing, too.

    Args:
        chosen: The prototypes.
        store: Features of the tiles.
        owners: intp (tiles,): index of the picture of each tile; one that is not in `chosen.owners` for a new picture.

    Returns:
        One map per bank, float32 (tiles, h3, w3).
    """
    banks: list[list[Tensor]] = [[] for _ in WINDOWS]
    for rows in store.batches(np.arange(len(store)), _ROWS_AT_ONCE):
        features = store[rows]
        for bank, maps in enumerate(banks):
            patches = chosen.prototypes.patches(features, bank)
            squares = squared_distances(patches, chosen.prototypes.points[bank])
            own = chosen.owners[bank][None, :] == torch.from_numpy(owners[rows])[:, None]
            squares.masked_fill_(own[:, :, None, None], math.inf)
            maps.append(squares.amin(1).clamp_min(0).sqrt())
    return tuple(torch.cat(maps).numpy() for maps in banks)


def _random_positions(n_tiles: int, n_positions: int, rng: np.random.Generator) -> list[npt.NDArray[np.intp]]:
    """The positions that candidates are taken from, for each tile; equally many per tile."""
    per_tile = min(n_positions, max(1, math.ceil(N_CANDIDATES / n_tiles)))
    return [rng.permutation(n_positions)[:per_tile] for _ in range(n_tiles)]


def _candidates(store: FeatureStore, positions: list[npt.NDArray[np.intp]], window: int) -> tuple[Tensor, Tensor]:
    """The candidates of a bank, float32 (m, C), and the index of each one's tile, int64 (m,)."""
    found, tiles = [], []
    for rows in store.batches(np.arange(len(store)), _ROWS_AT_ONCE):
        for row, patches in zip(rows, pooled(store[rows], window).flatten(2), strict=True):
            found.append(patches[:, torch.from_numpy(positions[row])].T)
            tiles.append(torch.full((len(positions[row]),), int(row)))
    return torch.cat(found), torch.cat(tiles)
