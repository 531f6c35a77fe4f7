"""Judge a calibration set: is it enough to find INT8 ranges from, and is there anything in it that does not belong?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.calibration.range_pictures import RangePictures
from edgerd.errors import InputError
from edgerd.precision.coverage import growth, halving, picture_histograms
from edgerd.precision.features import distances
from edgerd.precision.ranges import MIN_RANGE_PICTURES
from edgerd.precision.scales import RangeChoice
from edgerd.runtimes.machine import usable_cores
from edgerd.types import StrEnum

MAX_OUTSIDE = 1e-4
"""Share of an activation's values on other good pictures that may lie outside the range that the set shows."""
_CHANCE_VALUES = 10
"""How many values may lie outside in any case: in small activations of few pictures, one is a large share."""
MAX_HALVES_RATIO = 1.15
"""How many times as wide an activation's interval may be when found from one half of the set as from the other."""
MAX_FAR = 0.1
"""Share of other good pictures that may be farther from the set than its own pictures are from each other."""

_HALVED_BY = RangeChoice("mse")
"""How halves are compared, whatever preset the ranges will be chosen with: extremes depend on single pixels, and more
pictures do not make them steadier."""
_ROUNDING = 1e-9


class Enough(StrEnum):
    """What is to be done about a set; of several, the last one counts."""

    ENOUGH = "enough"
    MORE = "more pictures needed"
    SUSPECTS = "these pictures are suspects"


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was measured on a set of n pictures, with m other good ones.

    Attributes:
        n_pictures: n.
        n_others: m.
        names: The activations' names, in the graph's order.
        outside: float64 (names,), share of the other pictures' values outside the set's range.
        allowed: float64 (names,), the share that may be.
        sizes: Set sizes for `growth`.
        growth: float64 (sizes,), the worst activation's share outside at each of them.
        halves: float64 (names,), how many times as wide the interval from one half is as from the other.
        own_spacing: float64 (n,), from each picture of the set to the nearest other one.
        to_others: float64 (m,), from each other picture to the nearest one of the set.
        other_names: The names of the other pictures.
        n_suspects: Pictures of the set above the bundle's threshold; they were left out of all the above.
    """

    n_pictures: int
    n_others: int
    names: tuple[str, ...]
    outside: npt.NDArray[np.float64]
    allowed: npt.NDArray[np.float64]
    sizes: tuple[int, ...]
    growth: npt.NDArray[np.float64]
    halves: npt.NDArray[np.float64]
    own_spacing: npt.NDArray[np.float64]
    to_others: npt.NDArray[np.float64]
    other_names: tuple[str, ...]
    n_suspects: int

    @property
    def worst(self) -> int:
        """Index of the activation of which most lies outside, measured by what is allowed."""
        return int(np.argmax(self.outside / self.allowed))

    @property
    def far(self) -> tuple[str, ...]:
        """Other pictures that nothing in the set is like, the farthest first."""
        beyond = np.flatnonzero(self.to_others > self.own_spacing.max() + _ROUNDING)
        return tuple(self.other_names[index] for index in beyond[np.argsort(-self.to_others[beyond])])

    def lacks(self) -> tuple[str, ...]:
        """Why the set is not enough, a sentence each; none where it is."""
        found = []
        worst = self.worst
        if self.outside[worst] > self.allowed[worst]:
            found.append(
                f"{self.outside[worst]:.3%} of the values of {self.names[worst]} on other good pictures lie outside "
                f"the range that the set shows ({self.allowed[worst]:.2%} is allowed)."
            )
        least = int(np.argmax(self.halves))
        if self.halves[least] > MAX_HALVES_RATIO:
            found.append(
                f"Halves of the set do not agree: the range of {self.names[least]} is {self.halves[least]:.2f} times "
                f"as wide from one as from the other ({MAX_HALVES_RATIO} is allowed)."
            )
        if len(self.far) > MAX_FAR * self.n_others:
            found.append(
                f"{len(self.far)} of {self.n_others} other good pictures are like nothing in the set "
                f"({MAX_FAR:.0%} is allowed), the farthest {', '.join(self.far[:3])}."
            )
        return tuple(found)

    @property
    def verdict(self) -> Enough:
        """What is to be done."""
        if self.n_suspects:
            return Enough.SUSPECTS
        return Enough.MORE if self.lacks() else Enough.ENOUGH


def judge(bundle: Bundle, found: RangePictures, others: RangePictures) -> Judgement:
    """Measure a set of pictures against other good ones.

    Args:
        bundle: Holds the graph that the ranges are for.
        found: The set.
        others: Other good pictures; those that are in the set as well do not count.

    Raises:
        InputError: Too few of the others are not in the set.
    """
    others = _without(others, found)
    n, m = len(found.pictures), len(others.pictures)
    histograms = picture_histograms(
        bundle.read(GRAPH_FILE), np.concatenate([found.pictures, others.pictures]), usable_cores()
    )
    own, other = np.arange(n), np.arange(n, n + m)
    sizes = tuple(dict.fromkeys([*(2**power for power in range(n.bit_length())), n]))
    between = distances(found.features, found.features)
    np.fill_diagonal(between, np.inf)
    return Judgement(
        n_pictures=n,
        n_others=m,
        names=histograms.names,
        outside=histograms.outside(other, own),
        allowed=np.maximum(MAX_OUTSIDE, _CHANCE_VALUES / histograms.n_values(other)),
        sizes=sizes,
        growth=growth(histograms, other, own, sizes),
        halves=halving(histograms, own, _HALVED_BY),
        own_spacing=between.min(axis=1),
        to_others=distances(others.features, found.features).min(axis=1),
        other_names=others.names,
        n_suspects=len(found.suspects),
    )


def _without(others: RangePictures, found: RangePictures) -> RangePictures:
    """Leave out the other pictures that are in the set as well."""
    known = {picture.tobytes() for picture in found.pictures}
    new = [index for index, picture in enumerate(others.pictures) if picture.tobytes() not in known]
    if len(new) < MIN_RANGE_PICTURES:
        raise InputError(
            f"Of {len(others.pictures)} other good pictures, {len(others.pictures) - len(new)} are in the set as well.",
            expected=f"{MIN_RANGE_PICTURES} at least that are not in it",
            hint="Give other good pictures: --against OTHERS",
        )
    names = tuple(others.names[index] for index in new)
    return replace(others, names=names, pictures=others.pictures[new], features=others.features[new])
