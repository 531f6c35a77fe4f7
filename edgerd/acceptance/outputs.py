"""What a graph or an engine gives for the gate's pictures, and what is known about those pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgerd.acceptance.scores import scores_of
from edgerd.evaluation.summary import Metrics, evaluate_scores
from edgerd.runtimes.protocol import Maps
from edgerd.types import GOOD, BoolArray, Float64Array


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known about labelled pictures.

    Attributes:
        defects: The kind of defect in each picture; "good" for a good part.
        masks: Where the defect is in each picture: bool, of the shape of its anomaly map, or None where nobody drew a
            mask.
    """

    defects: tuple[str, ...] = ()
    masks: tuple[BoolArray | None, ...] = ()

    @property
    def is_good(self) -> BoolArray:
        """Whether each picture shows a good part, bool (n,)."""
        return np.array([defect == GOOD for defect in self.defects], np.bool_)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one graph gives for the gate's pictures.

    Attributes:
        good: Maps and scores of good pictures, an entry per picture.
        n_never_seen: How many of the good pictures, from the first on, training never saw.
        labelled: Maps and scores of labelled pictures.
        labels: The labels of those.
        pasted: Maps and scores of good pictures with pasted defects.
    """

    good: Sequence[Maps]
    n_never_seen: int
    labelled: Sequence[Maps] = ()
    labels: Labels = Labels()
    pasted: Sequence[Maps] = ()

    @property
    def all(self) -> Iterator[Maps]:
        """Maps and scores of the good pictures, then of the labelled ones."""
        yield from self.good
        yield from self.labelled

    @cached_property
    def n_not_finite(self) -> int:
        """Pictures with NaN or infinity in score or map."""
        every = (*self.all, *self.pasted)
        return sum(not (np.isfinite(maps.anomaly_map).all() and np.isfinite(maps.score).all()) for maps in every)

    @cached_property
    def scores(self) -> Float64Array:
        """Scores of the good pictures, then of the labelled ones, float64 (n,)."""
        return scores_of(self.all)

    @cached_property
    def pasted_scores(self) -> Float64Array:
        """Scores of the pictures with pasted defects, float64 (n,)."""
        return scores_of(self.pasted)

    def metrics(self, threshold: float) -> Metrics | None:
        """AUROC and recall on the labelled pictures; None where there are none."""
        if not self.labelled:
            return None
        scores, maps = self.scores[len(self.good) :], [maps.anomaly_map for maps in self.labelled]
        return evaluate_scores(scores, self.labels.defects, threshold, maps, self.labels.masks)
