"""Find the thresholds of a bundle again: the FP32 graph's, and that of each engine that runs here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
import numpy.typing as npt

from edgerd.building.scores import holdout_pictures, maps_of, picture_sha256, scores_of
from edgerd.bundle import Bundle, check_can_save
from edgerd.cameras import UnreadablePictureError, open_camera
from edgerd.data.dataset import Dataset, fingerprint
from edgerd.data.pictures import load_bundle_pictures
from edgerd.data.prepared import read_prepared
from edgerd.data.preprocess import bgr_from_frame, prepare
from edgerd.errors import CameraError, DatasetError, EngineMismatchError, InputError, MissingDependencyError
from edgerd.evaluation.threshold import threshold_from_scores, threshold_like
from edgerd.inspection.guards import exposure_reason
from edgerd.manifest import EngineRecord, ThresholdRecord
from edgerd.runtimes.choose import open_engine
from edgerd.types import UInt8Array

MIN_PICTURES = 8


class TrainedOnError(DatasetError):
    """Good pictures that the student was trained on: their scores are lower than those of new parts."""


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` did: the new bundle, its FP32 threshold, and engines whose threshold could not be renewed."""

    bundle: Bundle
    threshold: ThresholdRecord
    outdated: tuple[str, ...]
    suspicious: tuple[tuple[int, float], ...]
    """Good pictures (index, score) that stand far outside the others: look at them, they may be defective."""


def calibrate(
    bundle: Bundle,
    false_alarm_rate: float,
    pictures: UInt8Array | None = None,
    on_picture: Callable[[], None] = lambda: None,
) -> Calibration:
    """Find thresholds from good pictures and store them.

    Args:
        bundle: To calibrate.
        false_alarm_rate: Share of good parts that may be called NG.
        pictures: uint8 (n, T, H, W, 3), good and never trained on; None takes the bundle's held-out ones.
        on_picture: Told after each picture.

    Raises:
        BundleError: There are no pictures.
        InputError: Too few, or a rate outside (0, 1).
        StorageError: The bundle cannot be written; said before the work where that is known.
    """
    check_can_save(bundle.path, in_place=True)
    good = holdout_pictures(bundle, _others(bundle)) if pictures is None else pictures
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        scores = scores_of(maps_of(opened.engine, good, on_picture))
    threshold = threshold_from_scores(scores, false_alarm_rate)
    engines, outdated = [], []
    for record in bundle.manifest.engines:
        renewed = _renewed(bundle, record, good, scores, threshold)
        engines.append(renewed or record)
        if renewed is None:
            outdated.append(record.name)
    manifest = bundle.manifest.model_copy(update={"threshold": threshold, "engines": tuple(engines)})
    suspicious = tuple((index, float(scores[index])) for index in _far_outside(scores))
    return Calibration(bundle.save_with(manifest), threshold, tuple(outdated), suspicious)


def _renewed(
    bundle: Bundle,
    record: EngineRecord,
    good: UInt8Array,
    fp32_scores: npt.NDArray[np.float64],
    fp32_threshold: ThresholdRecord,
) -> EngineRecord | None:
    """The engine with a new threshold; None where it does not run here."""
    try:
        opened = open_engine(bundle, record.key.runtime, record.key.precision)
    except (EngineMismatchError, MissingDependencyError, InputError):
        return None
    with opened:
        if opened.engine.key != record.key:  # FP32 compiled here in its place
            return None
        threshold = threshold_like(scores_of(maps_of(opened.engine, good)), fp32_scores, fp32_threshold)
    return record.model_copy(update={"threshold": threshold})


def _far_outside(scores: npt.NDArray[np.float64]) -> list[int]:
    """Above the upper quartile by more than three times the interquartile range (Tukey's "far out")."""
    low, high = np.quantile(scores, [0.25, 0.75])
    return [int(index) for index in np.flatnonzero(scores > high + 3.0 * (high - low))]


def pictures_from_folder(bundle: Bundle, data: Path, say: Callable[[str], None] = lambda _: None) -> UInt8Array:
    """Good pictures from a folder, for `calibrate`: uint8 (n, T, H, W, 3).

    Args:
        bundle: For its preprocessing.
        data: The folder; or a data set in MVTec's layout, whose training pictures are taken.
        say: Told what is left out, a line at a time: what cannot be read, and what INT8 ranges are found from.

    Raises:
        TrainedOnError: The student was trained on some of them, so that their scores are too low.
        DatasetError: There are too few.
    """
    read = read_prepared(Dataset.open(data).train_good, bundle.manifest.preprocess)
    if fingerprint(read.paths, data) == bundle.manifest.training.data_fingerprint:
        raise _trained_on(bundle, str(data))
    for skipped in read.skipped:
        say(f"left out: {skipped.reason}")
    pictures = _never_seen(bundle, read.pictures, str(data), say)
    if len(pictures) < MIN_PICTURES:
        raise DatasetError(
            f"{data} holds {len(pictures)} good pictures that can be read and that nothing was found from before.",
            expected=f"{MIN_PICTURES} at least",
            hint="Add pictures of good parts.",
        )
    return pictures


def _never_seen(bundle: Bundle, pictures: UInt8Array, source: str, say: Callable[[str], None]) -> UInt8Array:
    """Without those that INT8 ranges are found from.

    The bundle knows some of its training pictures again, whatever their files are called. With one of them come others
    that it does not know, so that all are refused.
    """
    manifest = bundle.manifest
    for_ranges = load_bundle_pictures(bundle, manifest.ranges, manifest.preprocess)
    in_bundle = {picture_sha256(picture) for picture in for_ranges}
    trained_on = in_bundle if manifest.trained_on is None else set(manifest.trained_on)
    found = [picture_sha256(picture) for picture in pictures]
    if trained_on.intersection(found):
        raise _trained_on(bundle, source)
    new = [index for index, digest in enumerate(found) if digest not in in_bundle]
    if len(new) < len(found):
        say(f"left out: {len(found) - len(new)} of {len(found)} pictures in {source}, INT8 ranges are found from them.")
    return pictures[new]


def _trained_on(bundle: Bundle, source: str) -> TrainedOnError:
    own = f"edgerd calibrate {quote(str(bundle.path))} uses the ones that were held out"
    return TrainedOnError(
        f"{source} holds pictures this bundle was trained on; their scores are lower than those of new parts.",
        expected="good pictures that training never saw",
        hint=own if bundle.manifest.holdout else f"Take others; the bundle has none of its own. {_others(bundle)}",
    )


def _others(bundle: Bundle) -> str:
    path = quote(str(bundle.path))
    return f"edgerd calibrate {path} DATA, or --from-camera URI, with good parts that training never saw"


def pictures_from_camera(
    bundle: Bundle, uri: str, minutes: float, n_wanted: int, say: Callable[[str], None] = lambda _: None
) -> UInt8Array:
    """Good pictures from a line that makes good parts, thinned: uint8 (n, T, H, W, 3).

    Neighbouring frames are nearly the same, and the threshold's promise needs exchangeable pictures: of the time given,
    `n_wanted` frames are taken evenly spread; of files, every frame is taken until there are enough. A frame that a run
    would not judge (black, badly exposed, unreadable) is not taken, nor one that is there already.

    Args:
        bundle: For its preprocessing.
        uri: Of the camera.
        minutes: For how long a live camera is watched.
        n_wanted: How many pictures.
        say: Told how many there are, now and then.

    Raises:
        CameraError: It does not open, or gave too few pictures.
        TrainedOnError: It is a folder with pictures the student was trained on.
    """
    spec = bundle.manifest.preprocess
    camera = open_camera(uri)
    taken: list[UInt8Array] = []
    seen: set[str] = set()
    interval_s = minutes * 60.0 / n_wanted if camera.live else 0.0
    start = due = time.monotonic()
    try:
        while len(taken) < n_wanted and (not camera.live or time.monotonic() - start < minutes * 60.0):
            try:
                frame = camera.read()
            except UnreadablePictureError as error:
                say(f"left out: {error.what}")
                continue
            if frame is None:
                break
            if time.monotonic() < due:
                continue
            tiles = prepare(bgr_from_frame(frame, spec), spec)
            digest = picture_sha256(tiles)
            if digest in seen or exposure_reason(tiles, bundle.manifest.limits):
                continue
            seen.add(digest)
            taken.append(tiles)
            due += interval_s
            if len(taken) % 10 == 0:
                say(f"{len(taken)} of {n_wanted} pictures")
    finally:
        camera.close()
    if taken:
        taken = list(_never_seen(bundle, np.stack(taken), camera.uri, say))
    if len(taken) < MIN_PICTURES:
        raise CameraError(
            f"{camera.uri} gave {len(taken)} different pictures that can be judged.",
            expected=f"{MIN_PICTURES} at least",
            hint="Give more --minutes." if camera.live else "Choose a longer video or a folder with more pictures.",
        )
    return np.stack(taken)
