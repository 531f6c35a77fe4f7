"""The score of an anomaly map, as the graph takes it: its maximum, or the mean of its highest values.

The graph gives the score with the map. It is computed here where there is no graph yet (training), where the graph is
checked, and where a mask leaves out a part of the map.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgerd.types import Float32Array

SCORE_STRIDE: Final = 4
"""A mean of highest values is taken over every fourth row and column: after a blur of sigma 4 that is fine enough."""


def map_scores(anomaly_maps: Float32Array, n_highest: int | None) -> Float32Array:
    """The score of each map.

    Args:
        anomaly_maps: float32 (N, height, width).
        n_highest: How many of a map's highest values the score is the mean of, after the stride; None for the maximum
            of all values.

    Returns:
        float32 (N,).
    """
    if n_highest is None:
        maxima: Float32Array = anomaly_maps.max((1, 2))
        return maxima
    values = anomaly_maps[:, ::SCORE_STRIDE, ::SCORE_STRIDE].reshape(len(anomaly_maps), -1)
    n = min(n_highest, values.shape[1])
    means: Float32Array = np.partition(values, -n, axis=1)[:, -n:].mean(1, dtype=np.float32)
    return means
