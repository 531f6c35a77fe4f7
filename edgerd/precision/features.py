"""Features of pictures, as a bundle's own teacher sees them, and which pictures differ most by their features.

A picture's feature is the mean over space of each of the teacher's layers. Distances are Euclidean; a layer counts by
its mean square over channels, so that wide layers do not drown narrow ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from edgerd.graph_names import FRAME, SCORE, TEACHER_FEATURES
from edgerd.precision.watching import watching_session
from edgerd.types import Float32Array, UInt8Array


class FeatureReader:
    """The FP32 graph with the teacher's layers as outputs, in ONNX Runtime.

    Args:
        graph: The FP32 fused graph, ONNX.
        threads: CPU threads to use.
    """

    def __init__(self, graph: bytes, threads: int = 1) -> None:
        model = onnx.load_from_string(graph)
        self._outputs = [SCORE, *TEACHER_FEATURES]
        self._session = watching_session(model, self._outputs, threads)

    def look(self, tiles: UInt8Array) -> tuple[Float32Array, float]:
        """The feature and the score of one picture.

        Args:
            tiles: uint8 (T, H, W, 3), BGR, at graph size.

        Returns:
            The feature, float32 (d,), with d the channels of all layers times T; and the maximum score over the tiles.
        """
        score, *layers = self._session.run(self._outputs, {FRAME: tiles})
        pooled = [layer.mean(axis=(2, 3)) / np.sqrt(layer.shape[1] * len(tiles)) for layer in layers]
        return np.concatenate(pooled, axis=1).ravel(), float(score.max())


def distances(features: Float32Array, others: Float32Array) -> npt.NDArray[np.float64]:
    """Distances between each of n features, float32 (n, d), and each of m others, float32 (m, d): float64 (n, m)."""
    a, b = features.astype(np.float64), others.astype(np.float64)
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    # equal pictures are at distance 0, whatever rounding leaves
    square[square < 1e-12 * max(float((a**2).sum(1).max(initial=0)), 1e-30)] = 0.0
    root: npt.NDArray[np.float64] = np.sqrt(square)
    return root


def farthest_first(features: Float32Array, n: int) -> list[int]:
    """Choose the n most different pictures, each the one that is farthest from all chosen before it.

    Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985: no picture is farther from the nearest
    chosen one than twice what the best choice of n would reach.

    Args:
        features: float32 (m, d), a feature per picture.
        n: How many to choose, m at most.

    Returns:
        Indices of the pictures; the first one is that nearest to the mean.
    """
    chosen = [int(np.argmin(distances(features.mean(0, keepdims=True), features)))]
    nearest = distances(features[chosen], features)[0]
    while len(chosen) < min(n, len(features)):
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, distances(features[chosen[-1:]], features)[0])
    return chosen


class MostDifferent:
    """Keeps the n most different pictures of a stream, each of which is seen once; it holds no more than n features.

    A new picture that is farther from all kept ones than the two nearest of these are from each other takes the place
    of one of the two. So the smallest distance among those kept never falls.

    Args:
        n: How many to keep, 2 at least.

    Attributes:
        features: float32 (k, d), the features of those kept, by place.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self.features: Float32Array = np.empty((0, 0), np.float32)
        self._between = np.empty((0, 0))

    def offer(self, feature: Float32Array) -> int | None:
        """Take a picture, or leave it.

        Args:
            feature: float32 (d,).

        Returns:
            The place that it takes, 0 to n - 1: the next free one, or that of the picture it replaces. None if it is
            left.
        """
        if not len(self.features):
            self.features, self._between = feature[None], np.full((1, 1), np.inf)
            return 0
        away = distances(feature[None], self.features)[0]
        if len(self.features) < self._n:
            if away.min() == 0:
                return None
            self.features = np.vstack([self.features, feature])
            self._between = np.pad(self._between, (0, 1), constant_values=np.inf)
            place = len(self.features) - 1
        else:
            if away.min() <= self.spacing:
                return None
            place = self._most_crowded()
        self.features[place] = feature
        self._between[place, : len(away)] = self._between[: len(away), place] = away
        self._between[place, place] = np.inf
        return place

    @property
    def spacing(self) -> float:
        """The smallest distance between two that are kept; infinite for one."""
        return float(self._between.min())

    def _most_crowded(self) -> int:
        """The place to give up: of the two that are nearest to each other, the one whose next neighbour is nearer."""
        pair = np.unravel_index(np.argmin(self._between), self._between.shape)
        return int(min(pair, key=lambda place: np.partition(self._between[place], 1)[1]))
