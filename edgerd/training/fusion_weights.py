"""The weights of the maps in the fused one, and the scores of training pictures, both from honest maps.

An honest map of a picture is one by models that never saw it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgerd.data.aspect import is_picture
from edgerd.models.fusion import Fusion, fused, scores_of_maps
from edgerd.types import Float32Array, UInt8Array

SCORE_SHARE = 0.005
"""The score is the mean of this share of the map's values, the highest ones: 18x18 px of 256x256. A single noisy
position does not make a defect, and once they are blurred few defects are smaller."""
_LEAST_SPREAD = 0.02
"""Lower limit of the standard deviation of a map's maxima, as a share of their mean: a few pictures that are alike by
chance must not give a map a large weight."""
_MAPS_AT_ONCE = 64


def fusion_of(maps: tuple[Float32Array, ...], size: tuple[int, int], padded: UInt8Array | None = None) -> Fusion:
    """Weights of the maps: the less a map's maximum varies from good picture to good picture, the larger its weight.

    Each map is divided by the standard deviation of its maximum on good pictures. The weights are scaled so that the
    highest value of a good part's anomaly map is about 1.

    Args:
        maps: Honest maps of good tiles, each float32 (n, h_k, w_k).
        size: Height and width of the pictures.
        padded: The tiles, uint8 (n, H, W, 3), where they are prepared with aspect `letterbox`: their padding does not
            count. None where they have none.
    """
    weights, total = [], 0.0
    for one in maps:
        maxima = _maxima(one, size, padded).astype(np.float64)
        mean = max(float(maxima.mean()), 1e-6)
        weights.append(1.0 / max(float(maxima.std()), _LEAST_SPREAD * mean))
        total += mean * weights[-1]
    return Fusion(tuple(weight / total for weight in weights), SCORE_SHARE)


def scores_of_tiles(
    maps: tuple[Float32Array, ...], fusion: Fusion, size: tuple[int, int], padded: UInt8Array | None = None
) -> Float32Array:
    """The scores of tiles from their maps.

    Args:
        maps: In the order of the weights, each float32 (n, h_k, w_k).
        fusion: The weights of the maps, and how the score is taken.
        size: Height and width of the pictures.
        padded: As for `fusion_of`.

    Returns:
        float32 (n,).
    """
    found = [scores_of_maps(anomaly_maps, fusion) for anomaly_maps in _anomaly_maps(maps, fusion, size, padded)]
    scores: Float32Array = np.concatenate(found)
    return scores


def _maxima(maps: Float32Array, size: tuple[int, int], padded: UInt8Array | None) -> Float32Array:
    found = [anomaly_maps.max((1, 2)) for anomaly_maps in _anomaly_maps((maps,), Fusion((1.0,)), size, padded)]
    maxima: Float32Array = np.concatenate(found)
    return maxima


def _anomaly_maps(
    maps: tuple[Float32Array, ...], fusion: Fusion, size: tuple[int, int], padded: UInt8Array | None
) -> Iterator[Float32Array]:
    """The fused maps, some tiles at a time, float32 (m, H, W); 0 in the padding."""
    for first in range(0, len(maps[0]), _MAPS_AT_ONCE):
        some = slice(first, first + _MAPS_AT_ONCE)
        anomaly_maps = fused(tuple(one[some] for one in maps), fusion, *size)
        yield anomaly_maps if padded is None else anomaly_maps * is_picture(padded[some])
