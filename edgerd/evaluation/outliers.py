"""Finds good pictures that may not be good: their scores are far above the others'."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FAR_OUT = 3.0
"""Interquartile ranges above the upper quartile: Tukey's "far out" (Exploratory Data Analysis, 1977, section 2D)."""


def far_outside(scores: npt.ArrayLike) -> tuple[int, ...]:
    """Which scores of good pictures are far above the others.

    A new data set often holds a few defects by mistake, and each of them raises the threshold, so these pictures should
    be looked at. The scores must come from models that never saw the pictures.

    Args:
        scores: (n,), any float type, one per picture.

    Returns:
        Indices of those above the upper quartile by more than three times the interquartile range, highest score first;
        none with fewer than 4 scores.
    """
    values = np.asarray(scores, np.float64).ravel()
    if values.size < 4:
        return ()
    low, high = np.quantile(values, [0.25, 0.75])
    far = np.flatnonzero(values > high + FAR_OUT * (high - low))
    return tuple(int(index) for index in far[np.argsort(-values[far], kind="stable")])
