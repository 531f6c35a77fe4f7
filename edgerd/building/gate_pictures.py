"""What the gate judges by: good pictures that training never saw, and labelled ones where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgerd.building.calibrate import TrainedOnError, pictures_from_folder
from edgerd.building.gate import Labels
from edgerd.building.scores import holdout_pictures
from edgerd.bundle import Bundle
from edgerd.data.dataset import Dataset, TestPicture, read_mask_for
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import prepare, prepare_mask
from edgerd.errors import DatasetError, PictureError, SpecError
from edgerd.evaluation.metrics import BoolArray
from edgerd.manifest import PreprocessSpec
from edgerd.types import UInt8Array

_OTHERS = "Give a folder of good pictures that training never saw: --calibration DATA"


@dataclass(frozen=True, eq=False)
class GatePictures:
    """Pictures at the graph's size.

    Attributes:
        good: uint8 (n, T, H, W, 3), BGR, that training never saw; thresholds are found from them.
        labelled: uint8 (m, T, H, W, 3), good and defective ones; None where there are none.
        labels: Of the labelled ones.
        notes: What a person should know of the choice, a line each; none where it is as they would think.
        skipped: Labelled pictures that could not be read, and why.
    """

    good: UInt8Array
    labelled: UInt8Array | None = None
    labels: Labels = field(default_factory=Labels)
    notes: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)


def gate_pictures(bundle: Bundle, data: Path | None = None) -> GatePictures:
    """The bundle's held-out pictures, or those of a folder.

    A folder in MVTec's layout gives its test pictures as labelled ones. Its train/good is for the threshold if training
    never saw it; where it is what the student was trained on, the bundle's held-out pictures stand in for it.

    Args:
        bundle: For its preprocessing and its pictures.
        data: A folder of good pictures, or MVTec's layout; None for the held-out ones alone.

    Raises:
        DatasetError: A folder of another layout, with too few pictures, or of good pictures alone and trained on.
        PictureError: A mask does not fit its picture.
        SpecError: Region or tiles do not fit a picture; its file is named.
        BundleError: The held-out pictures are wanted, and the bundle has none.
    """
    if data is None:
        return GatePictures(holdout_pictures(bundle, _OTHERS))
    test = Dataset.open(data).test
    notes: list[str] = []
    try:
        good = pictures_from_folder(bundle, data, notes.append)
    except TrainedOnError as error:
        if not test:
            raise
        if not bundle.manifest.holdout:
            raise TrainedOnError(error.what, expected=error.expected, hint=f"{_OTHERS}.") from error
        good = holdout_pictures(bundle)
        notes = [
            f"The student was trained on good pictures of {data}: thresholds are from the {len(good)} that the bundle "
            f"holds out; compared are these and the {len(test)} in test."
        ]
    if not test:
        return GatePictures(good, notes=tuple(notes))
    labelled, labels, skipped = _read_labelled(test, bundle.manifest.preprocess)
    return GatePictures(good, labelled, labels, tuple(notes), skipped)


def _read_labelled(test: Sequence[TestPicture], spec: PreprocessSpec) -> tuple[UInt8Array, Labels, dict[str, str]]:
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
