"""What the gate judges by: good pictures, pasted defects, and labelled pictures where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shlex import quote

import numpy as np

from edgerd.acceptance.new_pictures import TrainedOnError, pictures_from_folder
from edgerd.acceptance.outputs import Labels
from edgerd.acceptance.scores import comparison_pictures, holdout_pictures
from edgerd.acceptance.training_pictures import training_pictures, warning_of_training_pictures
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.dataset import Dataset, TestPicture, read_mask_for
from edgerd.data.pasted import Pasted, pasted_defects
from edgerd.data.pictures import picture_sha256, read_picture
from edgerd.data.preprocess import prepare, prepare_mask
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import DatasetError, PictureError, SpecError
from edgerd.types import BoolArray, UInt8Array

_OTHERS = "Give a folder of good pictures that training never saw: --calibration DATA"


@dataclass(frozen=True, eq=False)
class GatePictures:
    """Pictures at the graph's size.

    Attributes:
        good: uint8 (n, T, H, W, 3), BGR.
        n_never_seen: How many of them, from the first on, are the bundle's that training never saw: all that it has, so
            that an engine's threshold can be found from its scores of them.
        labelled: uint8 (m, T, H, W, 3), good and defective ones; None where there are none.
        labels: What is known about the labelled pictures.
        notes: What a person should know of the choice, a line each; none where it is as they would think.
        skipped: Labelled pictures that could not be read, and why.
        padded: Whether all of them were prepared with aspect `letterbox`.
    """

    good: UInt8Array
    n_never_seen: int
    labelled: UInt8Array | None = None
    labels: Labels = field(default_factory=Labels)
    notes: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    padded: bool = False

    @cached_property
    def pasted(self) -> Pasted:
        """Defects pasted into some of the good ones."""
        return pasted_defects(self.good, padded=self.padded)


def gate_pictures(bundle: Bundle, data: Path | None = None) -> GatePictures:
    """Collect the pictures that the gate judges by: the bundle's own good ones and, if a folder is given, those in it.

    A folder in MVTec's layout gives its test pictures as labelled ones. Its train/good is compared on if training never
    saw it.

    Args:
        bundle: Gives its own pictures, and says how others are prepared.
        data: A folder of good pictures, or MVTec's layout; None for the bundle's own alone.

    Raises:
        DatasetError: A folder of another layout, or of good pictures alone and trained on.
        PictureError: A mask does not fit its picture.
        SpecError: Region or tiles do not fit a picture; its file is named.
        BundleError: The bundle has no pictures, and no others are given.
    """
    padded = bundle.manifest.preprocess.aspect == "letterbox"
    if data is None:
        good, n_never_seen = comparison_pictures(bundle, _OTHERS)
        notes = [] if n_never_seen else [_only_trained_on(good)]
        return GatePictures(good, n_never_seen, notes=tuple(notes), padded=padded)
    dataset = Dataset.open_labelled(data)
    if dataset.test and not dataset.train_good:
        (good, n_never_seen), notes = comparison_pictures(bundle, _OTHERS), list(dataset.unused())
    else:
        good, n_never_seen, notes = _with_good_pictures_of(data, bundle, len(dataset.test))
    if not dataset.test:
        return GatePictures(good, n_never_seen, notes=tuple(notes), padded=padded)
    shapes = ShapeGuard(bundle.manifest)
    labelled, labels, skipped = _read_labelled(dataset.test, bundle.manifest.preprocess, shapes)
    trained_on = training_pictures(bundle)
    n_seen = sum(picture_sha256(picture) in trained_on for picture in labelled)
    if n_seen:
        notes.append(warning_of_training_pictures(n_seen, len(labelled)))
    notes += shapes.warnings()
    return GatePictures(good, n_never_seen, labelled, labels, tuple(notes), skipped, padded)


def _with_good_pictures_of(data: Path, bundle: Bundle, n_test: int) -> tuple[UInt8Array, int, list[str]]:
    """The bundle's good pictures and those of a folder, how many training never saw for sure, and notes."""
    notes: list[str] = []
    try:
        found = pictures_from_folder(bundle, data, notes.append)
    except TrainedOnError as error:
        if not n_test:
            raise
        if not (bundle.manifest.holdout or bundle.manifest.ranges):
            raise TrainedOnError(error.what, expected=error.expected, hint=f"{_OTHERS}.") from error
        good, n_never_seen = comparison_pictures(bundle)
        note = (
            f"The student was trained on good pictures of {data}: compared are {len(good)} of the bundle and the "
            f"{n_test} in test."
        )
        return good, n_never_seen, [note]
    own, new = holdout_pictures(bundle), found.pictures
    notes += found.warnings
    if len(new):
        notes.append(
            f"Engines are compared on {len(new)} good pictures of {data} too; thresholds stay as they were found: "
            f"edgerd calibrate {quote(str(bundle.path))} DATA counts new good pictures for them."
        )
    return np.concatenate([own, new]), len(own), notes


def _only_trained_on(good: UInt8Array) -> str:
    return (
        f"The bundle holds no good picture that training never saw: engines are compared with FP32 on {len(good)} that "
        "it saw, and on defects pasted into them."
    )


def _read_labelled(
    test: Sequence[TestPicture], spec: PreprocessSpec, shapes: ShapeGuard
) -> tuple[UInt8Array, Labels, dict[str, str]]:
    """Pictures and labels, and which could not be read, and why."""
    pictures = np.empty((len(test), spec.n_tiles, spec.height, spec.width, 3), np.uint8)
    defects: list[str] = []
    masks: list[BoolArray | None] = []
    skipped: dict[str, str] = {}
    for picture in test:
        try:
            bgr = read_picture(picture.path)
            pictures[len(defects)] = prepare(bgr, spec)
        except PictureError as error:
            skipped[str(picture.path)] = error.what
            continue
        except SpecError as error:
            raise SpecError(f"{picture.path}: {error.what}", expected=error.expected, hint=error.hint) from error
        shapes.see(bgr.shape[1], bgr.shape[0])
        mask = read_mask_for(picture, *bgr.shape[:2])
        defects.append(picture.defect)
        masks.append(None if mask is None else prepare_mask(mask, spec))
    if not defects:
        raise DatasetError(
            f"None of {len(test)} test pictures can be read: {next(iter(skipped.values()))}",
            expected="pictures in test/good and test/<defect>",
            hint="Check the folder.",
        )
    return pictures[: len(defects)], Labels(tuple(defects), tuple(masks)), skipped
