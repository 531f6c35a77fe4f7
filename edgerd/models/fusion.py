"""The fusion of maps into one, as two small matrix products per map, and the score of the fused map.

RD4AD upsamples each distance map bilinearly (corners aligned) to the picture's size, adds them up and blurs the sum
with a Gaussian of sigma 4. All of it is linear and separable, so for maps M_k with weights c_k

    anomaly_map = sum_k c_k A_k M_k B_k^T

where A_k and B_k are upsampling and blur applied to the identity, once for rows and once for columns. The paper's
weights are 1. The paper's score is the maximum of the map; the score of method `edge` is the mean of its highest
values, which a single noisy position does not raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from edgerd.scoring import SCORE_STRIDE, map_scores
from edgerd.types import Float32Array

SIGMA: Final = 4.0
TRUNCATE: Final = 4.0
"""The Gaussian ends at `TRUNCATE * SIGMA` = 16 pixels, scipy's default."""


@dataclass(frozen=True)
class Fusion:
    """Weights of the maps, and how the score is taken.

    Attributes:
        weights: One per map, in this order: the student's maps, finest first; one map per bank of prototypes; the map
            of the position statistics. A run may lack some of these parts.
        score_share: The score is the mean of this share of the map's values, the highest ones; 0 to 1, and 0 takes the
            maximum.
    """

    weights: tuple[float, ...]
    score_share: float = 0.0

    def n_highest(self, height: int, width: int) -> int | None:
        """How many values the score of a map of this size is the mean of, after the stride; None for the maximum."""
        if not self.score_share:
            return None
        return max(1, round(self.score_share * -(-height // SCORE_STRIDE) * -(-width // SCORE_STRIDE)))


RD4AD_FUSION: Final = Fusion((1.0, 1.0, 1.0))
"""Deng & Li, section 3.4."""


@cache
def fusion_matrix(size: int, n: int) -> Float32Array:
    """Upsampling from `n` to `size` positions, then the Gaussian, as one matrix.

    Args:
        size: Positions along this axis of the picture.
        n: Positions along this axis of the scale's map.

    Returns:
        float32 (size, n), each row summing to 1; not to be written to.
    """
    matrix: Float32Array = (_gaussian(size) @ _upsample(size, n)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def fused(maps: tuple[Float32Array, ...], fusion: Fusion, height: int, width: int) -> Float32Array:
    """Fuse maps into anomaly maps.

    Args:
        maps: The maps of N pictures, each float32 (N, h_k, w_k).
        fusion: One weight per map.
        height: Height of the pictures in pixels.
        width: Width of the pictures in pixels.

    Returns:
        float32 (N, height, width).
    """
    total = np.zeros((len(maps[0]), height, width), np.float32)
    for weight, one in zip(fusion.weights, maps, strict=True):
        if weight:
            rows, columns = fusion_matrix(height, one.shape[1]), fusion_matrix(width, one.shape[2])
            total += np.float32(weight) * (rows @ one @ columns.T)
    return total


def scores_of_maps(anomaly_maps: Float32Array, fusion: Fusion) -> Float32Array:
    """The score of each fused map: float32 (N, height, width) -> float32 (N,)."""
    return map_scores(anomaly_maps, fusion.n_highest(*anomaly_maps.shape[1:]))


def _upsample(size: int, n: int) -> npt.NDArray[np.float64]:
    """Linear interpolation with the first and the last positions aligned (align_corners=True)."""
    position = np.linspace(0.0, n - 1.0, size)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(n)[None, :]))


def _gaussian(size: int) -> npt.NDArray[np.float64]:
    """The blur along one axis with scipy's "reflect" border (d c b a | a b c d | d c b a)."""
    radius = int(TRUNCATE * SIGMA + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel /= kernel.sum()
    sources = np.pad(np.arange(size), radius, mode="symmetric")
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    for tap, weight in enumerate(kernel):
        np.add.at(matrix, (rows, sources[rows + tap]), weight)
    return matrix
