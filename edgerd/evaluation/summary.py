"""All metrics of a test set that `edgerd evaluate` reports; None where a metric does not exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgerd.errors import InputError
from edgerd.evaluation.metrics import (
    Pictures,
    alarm_rate,
    aupro,
    check_scores,
    image_auroc,
    pixel_auroc,
    pro_per_image,
)
from edgerd.types import GOOD, BoolArray, Float32Array, Float64Array


@dataclass(frozen=True, slots=True)
class DefectMetrics:
    """How well one kind of defect is told from the good pictures.

    Attributes:
        n: Number of pictures of this kind.
        image_auroc: AUROC of this kind against all good pictures; None without good pictures.
        recall: Share of this kind above the threshold; None without a threshold.
    """

    n: int
    image_auroc: float | None
    recall: float | None

    @property
    def n_found(self) -> int | None:
        """Number of pictures of this kind above the threshold; None without a threshold."""
        return None if self.recall is None else round(self.recall * self.n)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of a test set. All areas and rates are between 0 and 1.

    Attributes:
        image_auroc: AUROC of the scores; None with one class only.
        pixel_auroc: AUROC of the maps' pixels; None without masks.
        aupro: AUPRO over the data set, for false-positive rates up to 0.3; None without masks.
        pro_per_image: Per-region overlap per picture, as RD4AD's own evaluation takes it; None without masks.
        per_defect: The metrics of each kind of defect, in alphabetical order.
        n_good: Number of good pictures.
        n_defective: Number of defective pictures.
        n_found: Number of defective pictures above the threshold; None without a threshold.
        n_false_alarms: Number of good pictures above the threshold; None without a threshold.
        threshold: The threshold, NG being score > threshold; None where there is none.
        false_alarm_rate: Share of the good pictures above the threshold; None without good pictures or threshold.
        recall: Share of the defective pictures above the threshold; None without defective pictures or threshold.
    """

    image_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    pro_per_image: float | None
    per_defect: Mapping[str, DefectMetrics]
    n_good: int
    n_defective: int
    n_found: int | None
    n_false_alarms: int | None
    threshold: float | None
    false_alarm_rate: float | None
    recall: float | None

    @property
    def headline(self) -> str:
        """The verdicts in a sentence: "46 of 48 defective parts found, 1 of 22 good parts called NG"."""
        if self.n_found is None or self.n_false_alarms is None:
            return f"{self.n_defective} defective and {self.n_good} good parts; there is no threshold to judge them by"
        return (
            f"{self.n_found} of {self.n_defective} defective parts found, "
            f"{self.n_false_alarms} of {self.n_good} good parts called NG"
        )

    def as_json(self) -> dict[str, Any]:
        """The metrics as plain dicts and numbers, as `edgerd evaluate --json` writes them."""
        return asdict(self)


def evaluate_scores(
    scores: npt.ArrayLike,
    defects: Sequence[str],
    threshold: float | None,
    maps: Pictures | None = None,
    masks: Sequence[BoolArray | None] | None = None,
) -> Metrics:
    """Compute all metrics of a test set.

    Args:
        scores: (n,), any float type, one per picture.
        defects: n kinds of defect, "good" for good pictures.
        threshold: NG is score > threshold; None if there is none.
        maps: float32 (n, H, W) or (n, T, H, W), or n arrays (T, h, w) of different sizes: anomaly maps; None to leave
            the pixel metrics out.
        masks: n masks, each bool in the shape of a picture's map. None for a good picture stands for a mask without
            defects; a defective picture with None is left out of the pixel metrics.

    Raises:
        InputError: No pictures, lengths or shapes that differ, or values that are not finite.
    """
    values, kinds = np.asarray(scores, dtype=np.float64), np.asarray(defects, dtype=np.str_)
    is_defective = kinds != GOOD
    if not values.size:
        raise InputError("There are no pictures to evaluate.", hint="Check the data folder: test/good, test/<defect>.")
    check_scores(values, is_defective)
    good, defective = values[~is_defective], values[is_defective]

    def auroc(positives: Float64Array) -> float | None:
        if not (good.size and positives.size):
            return None
        both = np.append(good, positives)
        return image_auroc(both, np.arange(both.size) >= good.size)

    def rate(part: Float64Array) -> float | None:
        return alarm_rate(part, threshold) if part.size and threshold is not None else None

    def above(part: Float64Array) -> int | None:
        return None if threshold is None else int((part > threshold).sum())

    by_kind = {str(kind): values[kinds == kind] for kind in np.unique(kinds[is_defective])}
    pixels = _masked_pictures(maps, masks, is_defective)
    return Metrics(
        image_auroc=auroc(defective),
        pixel_auroc=pixel_auroc(*pixels) if pixels else None,
        aupro=aupro(*pixels) if pixels else None,
        pro_per_image=pro_per_image(*pixels) if pixels else None,
        per_defect={kind: DefectMetrics(part.size, auroc(part), rate(part)) for kind, part in by_kind.items()},
        n_good=good.size,
        n_defective=defective.size,
        n_found=above(defective),
        n_false_alarms=above(good),
        threshold=threshold,
        false_alarm_rate=rate(good),
        recall=rate(defective),
    )


def _masked_pictures(
    maps: Pictures | None, masks: Sequence[BoolArray | None] | None, is_defective: BoolArray
) -> tuple[list[Float32Array], list[BoolArray]] | None:
    """Maps and masks of the pictures that can take part in pixel metrics; None where those do not exist."""
    if maps is None or masks is None:
        return None
    values: list[Float32Array] = [np.asarray(one, np.float32) for one in maps]
    if not len(values) == len(masks) == is_defective.size:
        raise InputError(f"There are {is_defective.size} scores, {len(values)} maps and {len(masks)} masks.")
    known: list[Float32Array] = []
    drawn: list[BoolArray] = []
    for one, mask, defective in zip(values, masks, is_defective, strict=True):
        if mask is not None and mask.shape != one.shape:
            raise InputError(f"A mask of shape {mask.shape} does not fit maps of shape {one.shape}.")
        if mask is not None or not defective:
            known.append(one)
            drawn.append(np.zeros(one.shape, np.bool_) if mask is None else mask)
    has_both = any(mask.any() for mask in drawn) and not all(mask.all() for mask in drawn)
    return (known, drawn) if has_both else None
