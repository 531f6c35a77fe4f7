"""Pictures for INT8 ranges from a folder: the most different good ones, and what is said about the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.calibration.range_pictures import RangePictures, range_pictures_from_folder, range_pictures_of
from edgerd.data.pictures import load_bundle_pictures, read_picture, write_png
from edgerd.data.samples import write_dataset
from edgerd.errors import BundleError, DatasetError
from edgerd.precision.features import distances


@pytest.fixture
def good(tmp_path) -> Path:
    """12 good parts that the bundle does not know."""
    write_dataset(tmp_path / "more", "ring", n_train=12, n_test_good=1, n_per_defect=1, size=96, seed=7)
    return tmp_path / "more" / "train" / "good"


def notes_of(found: RangePictures, bundle: Bundle) -> tuple[str, ...]:
    """Without the note on pictures that only score higher than ten others did."""
    return replace(found, unusual=()).notes(bundle.manifest.threshold)


def spoil(file: Path, target: Path) -> None:
    """A good part with a patch of noise: a defect that no training can miss."""
    picture = read_picture(file)
    picture[24:72, 24:72] = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    write_png(target, picture)


def test_the_most_different_pictures_are_taken(bundle, good):
    everything = range_pictures_from_folder(bundle, good, None)
    found = range_pictures_from_folder(bundle, good, 8)
    assert (len(everything.names), len(found.names), found.n_found) == (12, 8, 12)
    assert found.pictures.shape == (8, 1, 64, 64, 3)
    assert set(found.names) < set(everything.names)
    assert notes_of(found, bundle) == ()
    between = distances(found.features, found.features)
    np.fill_diagonal(between, np.inf)
    to_found = distances(everything.features, found.features).min(axis=1)
    assert to_found.max() <= between.min() + 1e-9


def test_a_defect_is_left_out_and_named_with_its_score(bundle, good):
    spoil(good / "000.png", good / "spoiled.png")
    found = range_pictures_from_folder(bundle, good)
    threshold = bundle.manifest.threshold
    (suspect,) = found.suspects
    assert Path(suspect.name).name == "spoiled.png"
    assert suspect.score > threshold.value
    assert suspect.name not in found.names
    (note,) = notes_of(found, bundle)
    assert "1 of 13 pictures have scores above the threshold" in note
    assert f"spoiled.png ({suspect.score:.3f})" in note


def test_a_picture_above_every_good_one_known_is_kept_and_named(bundle, good):
    scores = range_pictures_from_folder(bundle, good, None)
    low = bundle.manifest.threshold.model_copy(update={"largest_score": 0.0})
    known = bundle.save_with(bundle.manifest.model_copy(update={"threshold": low}))
    found = range_pictures_from_folder(known, good, None)
    assert found.names == scores.names
    assert {one.name for one in found.unusual} == set(found.names)
    (note,) = found.notes(low)
    assert f"12 of 12 pictures score higher than any of the {low.n_good} good ones" in note
    assert "and 7 more" in note


def test_pictures_of_another_size_are_prepared_and_named(bundle, good):
    picture = read_picture(good / "000.png")
    write_png(good / "large.png", cv2.resize(picture, (192, 192), interpolation=cv2.INTER_CUBIC))
    found = range_pictures_from_folder(bundle, good)
    assert found.pictures.shape[1:] == (1, 64, 64, 3)
    (note,) = notes_of(found, bundle)
    assert "1 pictures are not 96x96 as the other 12 are" in note
    assert "large.png (192x192)" in note


def test_pictures_that_cannot_be_used_are_named_with_the_reason(bundle, good):
    (good / "cut.png").write_bytes((good / "000.png").read_bytes()[:200])
    write_png(good / "black.png", np.zeros((96, 96, 3), np.uint8))
    found = range_pictures_from_folder(bundle, good)
    assert len(found.names) == 12
    (note,) = notes_of(found, bundle)
    assert "2 of 14 pictures cannot be used" in note
    assert "cut.png is damaged or was cut short" in note
    assert "black.png: black frame" in note


def held_out_of(bundle: Bundle) -> np.ndarray:
    return load_bundle_pictures(bundle, bundle.manifest.holdout, bundle.manifest.preprocess)


def test_pictures_of_the_gate_are_left_out(bundle, parts):
    held_out = held_out_of(bundle)
    everything = range_pictures_from_folder(bundle, parts, None)
    found = range_pictures_from_folder(bundle, parts, None, held_out)
    assert len(found.names) == len(everything.names) - len(held_out)
    assert not {picture.tobytes() for picture in found.pictures} & {picture.tobytes() for picture in held_out}
    assert len(found.held_out) == len(held_out)
    assert f"{len(held_out)} of 40 pictures are left out: gate and threshold are judged on them." in found.notes(
        bundle.manifest.threshold
    )


def test_too_few_that_are_not_the_gates(bundle, tmp_path):
    for index, picture in enumerate(held_out_of(bundle)):
        write_png(tmp_path / "held" / f"{index}.png", picture[0])
    with pytest.raises(DatasetError, match="10 are not for ranges: gate and threshold are judged on them"):
        range_pictures_from_folder(bundle, tmp_path / "held", None, held_out_of(bundle))


def test_a_folder_without_pictures_is_refused(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="There are no pictures in"):
        range_pictures_from_folder(bundle, tmp_path / "empty")


def test_a_single_picture_is_refused(bundle, good, tmp_path):
    write_png(tmp_path / "one" / "part.png", read_picture(good / "000.png"))
    with pytest.raises(DatasetError, match="There is only one picture in"):
        range_pictures_from_folder(bundle, tmp_path / "one")


def test_too_few_usable_pictures_are_refused_with_what_is_wrong_with_the_others(bundle, good):
    for index in range(6):
        spoil(good / f"{index:03}.png", good / f"{index:03}.png")
    (good / "cut.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="13 pictures, of which 6 can be used") as caught:
        range_pictures_from_folder(bundle, good)
    assert "6 are above the threshold" in caught.value.what
    assert "cut.png is not a picture" in caught.value.what
    assert caught.value.expected.startswith("8 pictures of good parts at least")
    assert caught.value.exit_code == 2


def test_an_uncalibrated_bundle_cannot_tell_defects(bundle, good):
    fresh = bundle.save_with(bundle.manifest.model_copy(update={"threshold": None}))
    with pytest.raises(BundleError, match="no threshold yet") as caught:
        range_pictures_from_folder(fresh, good)
    assert "edgerd calibrate" in caught.value.hint


def test_pictures_of_the_bundle_are_looked_through_too(bundle):
    found = range_pictures_of(bundle, bundle.manifest.ranges)
    assert len(found.names) + len(found.suspects) == found.n_found == len(bundle.manifest.ranges)
    with pytest.raises(BundleError, match="holds 0 such pictures"):
        range_pictures_of(bundle, ())
