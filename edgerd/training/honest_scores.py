"""From honest maps of good pictures to the weights of the fusion, and to honest scores.

A map is honest where the model that made it never saw its picture.
"""

from __future__ import annotations

import numpy as np

from edgerd.models.fusion import Fusion, fused, scores_of_maps
from edgerd.types import Float32Array

SCORE_SHARE = 0.005
"""The score is the mean of this share of the map's values, the highest ones: 18x18 px of 256x256. A single noisy
position does not make a defect, and once they are blurred few defects are smaller."""
_LEAST_SPREAD = 0.02
"""Lower limit of the standard deviation of a map's maxima, as a share of their mean: a few pictures that are alike by
chance must not give a map a large weight."""
_MAPS_AT_ONCE = 64


def fusion_of(maps: tuple[Float32Array, ...], size: tuple[int, int]) -> Fusion:
    """Weights of the maps: the less a map's maximum varies from good picture to good picture, the larger its weight.

    Each map is divided by the standard deviation of its maximum on good pictures. The weights are scaled so that the
    highest value of a good part's anomaly map is about 1.

    Args:
        maps: Honest maps of good tiles, each float32 (n, h_k, w_k).
        size: Height and width of the pictures.
    """
    weights, total = [], 0.0
    for one in maps:
        maxima = _maxima(one, size).astype(np.float64)
        mean = max(float(maxima.mean()), 1e-6)
        weights.append(1.0 / max(float(maxima.std()), _LEAST_SPREAD * mean))
        total += mean * weights[-1]
    return Fusion(tuple(weight / total for weight in weights), SCORE_SHARE)


def _maxima(maps: Float32Array, size: tuple[int, int]) -> Float32Array:
    parts = range(0, len(maps), _MAPS_AT_ONCE)
    found = [fused((maps[first : first + _MAPS_AT_ONCE],), Fusion((1.0,)), *size).max((1, 2)) for first in parts]
    maxima: Float32Array = np.concatenate(found)
    return maxima


def scores_of_tiles(maps: tuple[Float32Array, ...], fusion: Fusion, size: tuple[int, int]) -> Float32Array:
    """The scores of tiles from their maps.

    Args:
        maps: In the order of the weights, each float32 (n, h_k, w_k).
        fusion: The weights of the maps, and how the score is taken.
        size: Height and width of the pictures.

    Returns:
        float32 (n,).
    """
    found = []
    for first in range(0, len(maps[0]), _MAPS_AT_ONCE):
        some = tuple(one[first : first + _MAPS_AT_ONCE] for one in maps)
        found.append(scores_of_maps(fused(some, fusion, *size), fusion))
    scores: Float32Array = np.concatenate(found)
    return scores
