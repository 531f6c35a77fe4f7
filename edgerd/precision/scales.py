"""From ranges to scales: which interval of an activation the 8-bit levels should span.

A method is a function and a line in `RANGE_METHODS`. It sees a histogram and says where the interval ends; whether the
levels lie around 0 (TensorRT) or have a zero point of their own (CPUs) is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgerd.precision.flavours import Flavour
from edgerd.precision.ranges import TensorRange

N_LEVELS = 256
_SMALLEST_SCALE = 1e-12
_CANDIDATES = np.linspace(1.0, 0.2, 81)
_N_ABSOLUTE_LEVELS = 128
"""Levels of a symmetric scale at and above 0; -128 is not used, as TensorRT's ranges are from -127 to 127."""


@dataclass(frozen=True)
class RangeChoice:
    """How an activation's interval is chosen.

    Attributes:
        method: An entry of `RANGE_METHODS`.
        percentile: For "percentile": the share of values, in percent, that must lie inside; above 50, at most 100.
    """

    method: str = "minmax"
    percentile: float = 99.99


DEFAULT_CHOICE: Final = RangeChoice()


@dataclass(frozen=True)
class Scale:
    """real = scale * (integer - zero_point).

    Attributes:
        scale: float32.
        zero_point: The integer that stands for 0, of the flavour's type; 0 is exact, as zero padding needs it to be.
    """

    scale: np.float32
    zero_point: np.uint8 | np.int8


@dataclass(frozen=True, eq=False)
class Spread:
    """The histogram of an activation, as a method sees it.

    Attributes:
        low: The smallest value, or 0 if that is less.
        high: The largest value, or 0 if that is more.
        edges: float64 (n + 1,), the edges of the bins, ascending.
        counts: float64 (n,), how many values each bin holds.
        n_levels: How many levels the interval has, evenly spread, both ends included.
    """

    low: float
    high: float
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    n_levels: int

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """The centres of the bins, float64 (n,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def step(self, part: float) -> float:
        """The distance between two levels, if all of them together span this part of the whole range."""
        return max((self.high * part - self.low * part) / (self.n_levels - 1), _SMALLEST_SCALE)


def activation_scale(found: TensorRange, flavour: Flavour, choice: RangeChoice = DEFAULT_CHOICE) -> Scale:
    """The scale of an activation whose zero point is free, as CPUs take it."""
    low, high = interval(found, choice)
    scale = np.float32(max((high - low) / (N_LEVELS - 1), _SMALLEST_SCALE))
    if scale * np.float32(N_LEVELS - 1) > high - low:
        # ONNX Runtime leaves out a ReLU6 whose upper end no level exceeds, by however little
        scale = max(np.nextafter(scale, np.float32(0)), np.float32(_SMALLEST_SCALE))
    return Scale(scale, flavour.integer(flavour.lowest - low / float(scale)))


def symmetric_scale(found: TensorRange, choice: RangeChoice = DEFAULT_CHOICE) -> np.float32:
    """The scale of an activation whose zero point is 0, int8 from -127 to 127, as TensorRT takes it."""
    _, high = RANGE_METHODS[choice.method](_absolute(found), choice)
    scale: np.float32 = np.float32(max(high / (_N_ABSOLUTE_LEVELS - 1), _SMALLEST_SCALE))
    return scale


def interval(found: TensorRange, choice: RangeChoice = DEFAULT_CHOICE) -> tuple[float, float]:
    """The interval that 256 levels span: its lower end, 0 or less, and its upper end, 0 or more."""
    return RANGE_METHODS[choice.method](_spread(found), choice)


def _whole_range(spread: Spread, _: RangeChoice) -> tuple[float, float]:
    """The whole range: nothing is cut off."""
    return spread.low, spread.high


def _least_square(spread: Spread, _: RangeChoice) -> tuple[float, float]:
    """The interval whose levels give the least mean square error over the histogram.

    Shrinking the interval makes its steps finer and cuts off the largest values. Among intervals from the whole range
    to a fifth of it, all in proportion, the best is taken.
    """
    part = min(_CANDIDATES, key=lambda part: _square_error(spread, part))
    return spread.low * part, spread.high * part


def _least_divergence(spread: Spread, _: RangeChoice) -> tuple[float, float]:
    """The interval whose levels keep most of the distribution: least Kullback-Leibler divergence from the histogram.

    Migacz, "8-bit Inference with TensorRT", GTC 2017, S7310, "Entropy Calibration - pseudocode"; here for any number of
    levels. The bin that holds 0 counts no more than its fuller neighbour, as in NVIDIA's ModelOpt: a Relu's zeros are
    exact in every interval, and their number would outweigh everything else.
    """
    counts = spread.counts.copy()
    zero = int(np.clip(np.searchsorted(spread.edges, 0.0, side="right") - 1, 0, len(counts) - 1))
    counts[zero] = min(counts[zero], max(counts[max(zero - 1, 0) : zero].sum(), counts[zero + 1 : zero + 2].sum()))
    # with levels narrower than a bin the divergence would be 0, whatever is cut off
    width = spread.edges[1] - spread.edges[0]
    able = [part for part in _CANDIDATES if spread.step(part) >= width] or [1.0]
    part = min(able, key=lambda part: _divergence(spread, counts, part))
    return spread.low * part, spread.high * part


def _percentile(spread: Spread, choice: RangeChoice) -> tuple[float, float]:
    """The interval that holds the given share of the values; each end that is not 0 cuts off as many as the other."""
    ends = int(spread.low < 0) + int(spread.high > 0)
    outside = (1 - choice.percentile / 100) * spread.counts.sum() / max(ends, 1)
    below, above = np.cumsum(spread.counts), np.cumsum(spread.counts[::-1])
    low = spread.edges[np.searchsorted(below, outside, side="right").clip(max=len(below) - 1)]
    high = spread.edges[::-1][np.searchsorted(above, outside, side="right").clip(max=len(above) - 1)]
    return float(np.clip(low, spread.low, 0.0)), float(np.clip(high, 0.0, spread.high))


RANGE_METHODS: Final[dict[str, Callable[[Spread, RangeChoice], tuple[float, float]]]] = {
    "mse": _least_square,
    "minmax": _whole_range,
    "entropy": _least_divergence,
    "percentile": _percentile,
}
"""Name of a method to the function that says where the interval ends."""


def _spread(found: TensorRange) -> Spread:
    edges = np.linspace(found.low, found.high, len(found.counts) + 1)
    return Spread(min(found.low, 0.0), max(found.high, 0.0), edges, np.array(found.counts, np.float64), N_LEVELS)


def _absolute(found: TensorRange) -> Spread:
    """The histogram of the absolute values, in bins about as wide as those of the values themselves."""
    signed = _spread(found)
    high, n_counted = max(-signed.low, signed.high), len(found.counts)
    # Values that lie close together and far from 0 would take thousands of bins as narrow as theirs: those get wider.
    n_bins = round(n_counted * min(high / max(found.high - found.low, _SMALLEST_SCALE), 2.0)) or 1
    bins = np.minimum(np.abs(signed.centres) * (n_bins / max(high, _SMALLEST_SCALE)), n_bins - 1).astype(int)
    counts = np.bincount(bins, signed.counts, minlength=n_bins).astype(np.float64)
    return Spread(0.0, high, np.linspace(0.0, high, n_bins + 1), counts, _N_ABSOLUTE_LEVELS)


def _square_error(spread: Spread, part: float) -> float:
    low, step, values = spread.low * part, spread.step(part), spread.centres
    rounded = np.clip(np.rint((values - low) / step), 0, spread.n_levels - 1) * step + low
    return float(spread.counts @ (rounded - values) ** 2)


def _divergence(spread: Spread, counts: npt.NDArray[np.float64], part: float) -> float:
    """Kullback-Leibler divergence between the clipped histogram and its quantized form.

    In the quantized form the values of each level are spread evenly over those of its bins that hold any.
    """
    low, high, values = spread.low * part, spread.high * part, spread.centres
    inside = np.flatnonzero((values >= low) & (values <= high))
    if not counts[inside].any():
        return float("inf")
    first, last = inside[0], inside[-1]
    reference = counts[first : last + 1].copy()
    levels = np.rint((values[first : last + 1] - low) / spread.step(part)).astype(int)
    filled = reference > 0
    share = np.bincount(levels, reference) / np.maximum(np.bincount(levels, filled), 1)
    candidate = share[levels][filled]
    # What lies outside is clipped to the ends of the reference only, so that cutting off has its price.
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last + 1 :].sum()
    reference, candidate = reference[filled] / reference.sum(), candidate / candidate.sum()
    return float(reference @ np.log(reference / candidate))
