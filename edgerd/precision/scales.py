"""From ranges to scales: which interval of an activation the 256 levels should span."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgerd.precision.flavours import Flavour
from edgerd.precision.ranges import TensorRange

N_LEVELS = 256
_SMALLEST_SCALE = 1e-12
_CANDIDATES = np.linspace(1.0, 0.2, 81)


@dataclass(frozen=True)
class Scale:
    """real = scale * (integer - zero_point).

    Attributes:
        scale: float32.
        zero_point: The integer that stands for 0, of the flavour's type; 0 is exact, as zero padding needs it to be.
    """

    scale: np.float32
    zero_point: np.uint8 | np.int8


def activation_scale(found: TensorRange, flavour: Flavour) -> Scale:
    """The scale of an activation by `least_square_interval`."""
    low, high = least_square_interval(found)
    scale = np.float32(max((high - low) / (N_LEVELS - 1), _SMALLEST_SCALE))
    return Scale(scale, flavour.integer(flavour.lowest - low / float(scale)))


def least_square_interval(found: TensorRange) -> tuple[float, float]:
    """The interval around 0 whose 256 levels give the least mean square error over the histogram.

    Shrinking the interval makes its steps finer and cuts off the largest values. Among intervals from the whole range
    to a fifth of it, all in proportion, the best is taken.

    Returns:
        Lower end, at most 0, and upper end, at least 0.
    """
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    edges = np.linspace(found.low, found.high, len(found.counts) + 1)
    values, counts = (edges[1:] + edges[:-1]) / 2, np.array(found.counts, np.float64)
    part = min(_CANDIDATES, key=lambda part: _square_error(values, counts, low * part, high * part))
    return low * part, high * part


def _square_error(values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], low: float, high: float) -> float:
    step = max((high - low) / (N_LEVELS - 1), _SMALLEST_SCALE)
    rounded = np.clip(np.rint((values - low) / step), 0, N_LEVELS - 1) * step + low
    return float(counts @ (rounded - values) ** 2)
