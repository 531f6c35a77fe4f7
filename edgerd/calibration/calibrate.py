"""Find the thresholds of a bundle: the FP32 graph's, and that of each engine that runs here.

All good scores that the bundle has count, together: those of cross-fitting, and the FP32 graph's own of pictures that
training never saw. What is added stays in the bundle, so that nothing that comes later finds a threshold from fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote

import numpy as np

from edgerd.acceptance.gate_pictures import GatePictures
from edgerd.acceptance.new_pictures import MIN_THRESHOLD_PICTURES, NewPictures, other_pictures
from edgerd.acceptance.scores import maps_of, scores_of, with_range_pictures
from edgerd.bundle.bundle import Bundle, check_can_save
from edgerd.bundle.manifest import EngineRecord, Manifest, RoughRecall, ThresholdRecord
from edgerd.data.pictures import added_pictures, load_bundle_pictures
from edgerd.errors import BundleError, EngineMismatchError, InputError, MissingDependencyError
from edgerd.evaluation.outliers import far_outside
from edgerd.evaluation.rough_recall import rough_recall
from edgerd.evaluation.threshold import threshold_from_scores, threshold_like
from edgerd.inspection.self_test import StoredPicture, first_picture, note_score
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Engine
from edgerd.types import Float64Array, UInt8Array


@dataclass(frozen=True, eq=False)
class Calibration:
    """What `calibrate` did.

    Attributes:
        bundle: The new one.
        threshold: Its FP32 threshold.
        outdated: Engines whose threshold could not be renewed.
        suspicious: Good pictures (name, score) that stand far outside the others: they may be defective.
        good_scores: float64 (n,), all that the threshold was found from.
        recall_elsewhere: How many pasted defects were found before, where they were pasted into other pictures: the
            count cannot be compared with the new one. None where it can, or where there is none.
    """

    bundle: Bundle
    threshold: ThresholdRecord
    outdated: tuple[str, ...]
    suspicious: tuple[tuple[str, float], ...]
    good_scores: Float64Array
    recall_elsewhere: RoughRecall | None = None


@dataclass(frozen=True, eq=False)
class _Good:
    """The good scores of a bundle, and the pictures behind them as far as they are there.

    Attributes:
        manifest: With all of them, but for the scores of `passing`.
        pictures: uint8 (n, T, H, W, 3): those that stay in the bundle, in the manifest's order.
        passing: uint8 (m, T, H, W, 3): those of which only the scores stay.
        names: What people call the pictures: first those whose scores alone are known, then `passing`, then `pictures`.
        new_files: What the bundle gets in addition, name to content.
    """

    manifest: Manifest
    pictures: UInt8Array
    passing: UInt8Array
    names: tuple[str, ...]
    new_files: dict[str, bytes]


def calibrate(
    bundle: Bundle,
    false_alarm_rate: float,
    new: NewPictures | None = None,
    *,
    replace: bool = False,
    keep: bool = True,
    names: Sequence[str] = (),
    on_picture: Callable[[], None] = lambda: None,
) -> Calibration:
    """Add good pictures, find thresholds from all that there are, and store them.

    Args:
        bundle: To calibrate.
        false_alarm_rate: Share of good parts that may be called NG.
        new: Good pictures to add.
        replace: Forget those that were added earlier; what training gave stays.
        keep: Whether the bundle takes the new ones along; else only their scores.
        names: What people call the training pictures of which it has scores, then its pictures that training never saw;
            those that are left out are called as in the bundle.
        on_picture: Told after each good picture.

    Raises:
        BundleError: There are no good pictures and no scores of any.
        InputError: Too few, or a rate outside (0, 1).
        StorageError: The bundle cannot be written; said before the work where that is known.
    """
    check_can_save(bundle.path, in_place=True)
    good = _with_new(bundle, new, replace, keep)
    seen_by_none = np.concatenate([good.passing, good.pictures])
    compared = _to_compare(bundle, seen_by_none)
    stored = _stored_picture(bundle, good)
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        own = scores_of(maps_of(opened.engine, seen_by_none, on_picture))
        others = _scores_of_others(opened.engine, compared)
        fp32_self_test = note_score(opened.engine, stored)
    scores = np.append(np.array(good.manifest.scores_alone, np.float64), own)
    _refuse_too_few(bundle, scores)
    threshold = threshold_from_scores(scores, false_alarm_rate)
    engines, outdated = [], []
    for record in bundle.manifest.engines:
        renewed = _renewed(bundle, record, compared, (own, others), threshold, stored)
        engines.append(renewed or record)
        if renewed is None:
            outdated.append(record.name)
    pasted = others[len(others) - len(compared.pasted.kinds) :] if compared else ()
    manifest = good.manifest.model_copy(
        update={
            "holdout_scores": (*good.manifest.holdout_scores, *own[: len(good.passing)].tolist()),
            "threshold": threshold,
            "self_test": fp32_self_test,
            "engines": tuple(engines),
            "rough_recall": rough_recall(pasted, compared.pasted.kinds, threshold.value) if compared else None,
        }
    )
    called = (*names, *good.names[len(names) :])
    suspicious = tuple((called[index], float(scores[index])) for index in far_outside(scores))
    return Calibration(
        bundle=bundle.save_with(manifest, good.new_files),
        threshold=threshold,
        outdated=tuple(outdated),
        suspicious=suspicious,
        good_scores=scores,
        recall_elsewhere=bundle.manifest.rough_recall if manifest.holdout != bundle.manifest.holdout else None,
    )


def _with_new(bundle: Bundle, new: NewPictures | None, replace: bool, keep: bool) -> _Good:
    manifest, spec = bundle.manifest, bundle.manifest.preprocess
    held_out = tuple(name for name in manifest.holdout if not (replace and name in manifest.added))
    pictures = load_bundle_pictures(bundle, held_out, spec)
    files = added_pictures(new.pictures) if new and keep else {}
    numbers = [
        f"training picture {index}" for index in range(len(manifest.cross_fit.scores if manifest.cross_fit else ()))
    ]
    numbers += ["a good picture that is not in the bundle"] * len(manifest.holdout_scores)
    names = held_out[:: spec.n_tiles]
    passing = pictures[:0]
    if new and keep:
        pictures = np.concatenate([pictures, new.pictures])
        names += tuple(f"{name} ({file})" for name, file in zip(new.names, [*files][:: spec.n_tiles], strict=True))
    elif new:
        passing, numbers = new.pictures, [*numbers, *new.names]
    manifest = manifest.model_copy(update={"holdout": (*held_out, *files)})
    return _Good(manifest, pictures, passing, (*numbers, *names), files)


def _stored_picture(bundle: Bundle, good: _Good) -> StoredPicture | None:
    """A picture that stays in the bundle, to note scores of: one that training never saw, else one for the ranges."""
    manifest = good.manifest
    if len(good.pictures):
        return StoredPicture(manifest.holdout[: manifest.preprocess.n_tiles], good.pictures[0])
    return first_picture(bundle, manifest.ranges)


def _to_compare(bundle: Bundle, never_seen: UInt8Array) -> GatePictures | None:
    """The pictures that show how far an engine's scores are from FP32's; None where the bundle has no pictures."""
    good = with_range_pictures(bundle, never_seen)
    padded = bundle.manifest.preprocess.aspect == "letterbox"
    return GatePictures(good, len(never_seen), padded=padded) if len(good) else None


def _scores_of_others(engine: Engine, compared: GatePictures | None) -> Float64Array:
    """Scores of the compared pictures that the threshold is not found from: range pictures, then pasted defects."""
    if compared is None:
        return np.empty(0)
    return scores_of(maps_of(engine, [*compared.good[compared.n_never_seen :], *compared.pasted.pictures]))


def _renewed(
    bundle: Bundle,
    record: EngineRecord,
    compared: GatePictures | None,
    fp32_scores: tuple[Float64Array, Float64Array],
    fp32_threshold: ThresholdRecord,
    stored: StoredPicture | None,
) -> EngineRecord | None:
    """The engine with a new threshold and self-test; None where it cannot be run: not here, or on no picture."""
    if compared is None:
        return None
    try:
        opened = open_engine(bundle, record.key.runtime, record.key.precision)
    except (EngineMismatchError, MissingDependencyError, InputError):
        return None
    with opened:
        if opened.engine.key != record.key:  # FP32 compiled here in its place
            return None
        own = scores_of(maps_of(opened.engine, compared.good[: compared.n_never_seen]))
        others = _scores_of_others(opened.engine, compared)
        self_test = note_score(opened.engine, stored)
    threshold = threshold_like(own, fp32_scores[0], fp32_threshold, (others, fp32_scores[1]))
    return record.model_copy(update={"threshold": threshold, "self_test": self_test})


def _refuse_too_few(bundle: Bundle, scores: Float64Array) -> None:
    if not scores.size:
        raise BundleError(
            f"{bundle.path} has no good pictures of its own, nor scores of any.",
            expected="the good pictures that training held out, or that were added",
            hint=f"{other_pictures(bundle)}; or export again: edgerd export RUN -o {quote(str(bundle.path))}",
        )
    if scores.size < MIN_THRESHOLD_PICTURES:
        raise InputError(
            f"{scores.size} good pictures are too few for a threshold.",
            expected=f"{MIN_THRESHOLD_PICTURES} at least that training never saw",
            hint=other_pictures(bundle),
        )
