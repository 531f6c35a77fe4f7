"""Measure whether a set of pictures is enough to find INT8 ranges from: on other good pictures, and by halving it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgerd.precision.ranges import N_BINS, TensorRange, activations_on, histogram, watched
from edgerd.precision.scales import RangeChoice, interval
from edgerd.types import Float32Array, UInt8Array

Places = Sequence[int] | npt.NDArray[np.intp]
"""Indices of pictures."""


@dataclass(frozen=True, eq=False)
class PictureHistograms:
    """The activations of each picture, counted in bins that all pictures share.

    Attributes:
        names: Names of the activations, in the graph's order.
        low: float64 (names,), the smallest value on any picture, which is the lower edge of the first bin.
        high: float64 (names,), the largest value on any picture, which is the upper edge of the last bin.
        counts: int32 (pictures, names, `N_BINS`), how many values fall into each bin.
    """

    names: tuple[str, ...]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int32]

    def outside(self, of: Places, by: Places) -> npt.NDArray[np.float64]:
        """How much of what some pictures show would be cut off by the whole range of others.

        Args:
            of: The pictures that show it.
            by: The pictures that the range is found from.

        Returns:
            float64 (names,), shares of the values, 0 to 1. A value that exceeds the range by less than the width of a
            bin counts as inside.
        """
        shown = self.counts[of].sum(axis=0, dtype=np.float64)
        seen = self.counts[by].sum(axis=0, dtype=np.int64) > 0
        bins = np.arange(N_BINS)
        first = seen.argmax(axis=1)[:, None]
        last = N_BINS - 1 - seen[:, ::-1].argmax(axis=1)[:, None]
        share: npt.NDArray[np.float64] = (shown * ((bins < first) | (bins > last))).sum(axis=1) / shown.sum(axis=1)
        return share

    def n_values(self, of: Places) -> npt.NDArray[np.int64]:
        """How many values each activation takes on these pictures: int64 (names,)."""
        total: npt.NDArray[np.int64] = self.counts[of].sum(axis=(0, 2), dtype=np.int64)
        return total

    def widths(self, of: Places, choice: RangeChoice) -> npt.NDArray[np.float64]:
        """How wide the interval of each activation would be, if its range were found from these pictures alone.

        Args:
            of: The pictures.
            choice: How the interval is chosen.

        Returns:
            float64 (names,), in units of the activation.
        """
        counts = self.counts[of].sum(axis=0, dtype=np.int64)
        found = [self._range(index, counts[index]) for index in range(len(self.names))]
        ends = [interval(one, choice) for one in found]
        return np.array([high - low for low, high in ends])

    def _range(self, index: int, counts: npt.NDArray[np.int64]) -> TensorRange:
        """The range of one activation from its counts, without the empty bins at both ends."""
        edges = np.linspace(self.low[index], self.high[index], N_BINS + 1)
        filled = np.flatnonzero(counts)
        first, last = int(filled[0]), int(filled[-1])
        return TensorRange(low=edges[first], high=edges[last + 1], counts=tuple(counts[first : last + 1].tolist()))


def picture_histograms(graph: bytes, pictures: UInt8Array, threads: int = 1) -> PictureHistograms:
    """Run the FP32 graph on pictures and count each one's activations.

    Args:
        graph: The FP32 fused graph, ONNX.
        pictures: uint8 (n, T, H, W, 3), BGR, at graph size.
        threads: CPU threads to use.
    """
    names, session = watched(graph, threads)
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for _, index, values in _values(pictures, names, session):
        low[index], high[index] = min(low[index], values.min()), max(high[index], values.max())
    counts = np.zeros((len(pictures), len(names), N_BINS), np.int32)
    for picture, index, values in _values(pictures, names, session):
        counts[picture, index] += histogram(values, low[index], high[index]).astype(np.int32)
    return PictureHistograms(names, low, high, counts)


def growth(
    found: PictureHistograms, of: Places, by: Places, sizes: Sequence[int], n_orders: int = 5, seed: int = 0
) -> npt.NDArray[np.float64]:
    """How much the range of a set of pictures cuts off of other pictures' values, as the set grows.

    Args:
        found: Histograms of both sets of pictures.
        of: The other pictures.
        by: The set that grows.
        sizes: How many pictures of the set are taken, for each step.
        n_orders: In how many random orders the set grows.
        seed: Seed of the orders.

    Returns:
        float64 (sizes,): the share of the activation that loses most, 0 to 1, averaged over the orders.
    """
    random = np.random.default_rng(seed)
    orders = [random.permutation(np.asarray(by)) for _ in range(n_orders)]
    return np.array([np.mean([found.outside(of, order[:size]).max() for order in orders]) for size in sizes])


def halving(
    found: PictureHistograms, of: Places, choice: RangeChoice, n_splits: int = 5, seed: int = 0
) -> npt.NDArray[np.float64]:
    """How far two halves of a set agree on the interval of each activation.

    Args:
        found: Histograms of the set.
        of: The set, 2 pictures at least.
        choice: How the interval is chosen.
        n_splits: How many random splits are averaged over.
        seed: Seed of the splits.

    Returns:
        float64 (names,): the wider half's interval divided by the narrower's, 1 or more.
    """
    random = np.random.default_rng(seed)
    ratios = []
    for _ in range(n_splits):
        order = random.permutation(np.asarray(of))
        first, second = (found.widths(half, choice) for half in np.array_split(order, 2))
        ratios.append(np.maximum(first, second) / np.maximum(np.minimum(first, second), 1e-12))
    mean: npt.NDArray[np.float64] = np.mean(ratios, axis=0)
    return mean


def _values(pictures: UInt8Array, names: Sequence[str], session: Any) -> Iterator[tuple[int, int, Float32Array]]:
    """Run the graph on every tile; yields index of the picture, index of the activation, and its values."""
    for picture, tiles in enumerate(pictures):
        for tile in tiles:
            for index, (_, values) in enumerate(activations_on(tile[None], names, session)):
                yield picture, index, values
