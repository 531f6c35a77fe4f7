"""Thresholds come from good pictures that training never saw, for every engine that runs here."""

from __future__ import annotations

import errno
import shutil

import numpy as np
import pytest

from edgerd.building.calibrate import TrainedOnError, calibrate, pictures_from_camera, pictures_from_folder
from edgerd.building.engine import build_engine
from edgerd.building.new_ranges import with_range_pictures
from edgerd.building.range_pictures import range_pictures_from_folder
from edgerd.bundle import Bundle
from edgerd.data.samples import write_dataset
from edgerd.errors import BundleError, CameraError, DatasetError, InputError, StorageError


def test_a_fresh_bundle_has_a_threshold_above_its_good_pictures(bundle):
    threshold = bundle.manifest.threshold
    assert threshold.n_good == 10
    assert threshold.extrapolated
    assert threshold.value >= threshold.largest_score
    assert threshold.n_more_needed == 89


def test_a_larger_rate_gives_a_lower_threshold(bundle):
    strict, loose = (calibrate(bundle, rate).threshold for rate in (0.01, 0.3))
    assert not loose.extrapolated
    assert loose.value < strict.value
    assert Bundle.open(bundle.path).manifest.threshold == loose


def test_engines_get_their_own_threshold(bundle):
    built = build_engine(bundle, runtime="onnxruntime", precision="fp32").bundle
    calibration = calibrate(built, 0.3)
    assert calibration.outdated == ()
    assert calibration.bundle.manifest.engines[0].threshold.false_alarm_rate == 0.3


def test_an_engine_of_another_machine_keeps_its_threshold_and_is_named(bundle):
    built = build_engine(bundle, runtime="onnxruntime", precision="fp32").bundle
    (engine,) = built.manifest.engines
    elsewhere = engine.model_copy(update={"key": engine.key.model_copy(update={"device": "another CPU"})})
    moved = built.save_with(built.manifest.model_copy(update={"engines": (elsewhere,)}))
    calibration = calibrate(moved, 0.3)
    assert calibration.outdated == ("onnxruntime fp32",)
    assert calibration.bundle.manifest.engines[0].threshold == engine.threshold


def test_a_defect_among_the_good_pictures_is_pointed_out(bundle, parts):
    good = pictures_from_folder(bundle, _good_parts(bundle, n=12))
    spoiled = good.copy()
    spoiled[5, 0, 16:40, 16:40] = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    assert [index for index, _ in calibrate(bundle, 0.1, spoiled).suspicious] == [5]


def test_the_training_pictures_are_refused(bundle, parts):
    with pytest.raises(DatasetError, match="trained on"):
        pictures_from_folder(bundle, parts)


def test_training_pictures_are_known_after_others_took_their_place(bundle, parts):
    """`--ranges DIR` replaces the training pictures that the bundle knows them by."""
    new = _good_parts(bundle, n=12)
    found = range_pictures_from_folder(bundle, new, 8)
    unsaved = with_range_pictures(bundle, found)
    saved = unsaved.save_with(unsaved.manifest)
    again = with_range_pictures(saved, found)  # and a second time
    saved = Bundle.open(again.save_with(again.manifest).path)
    for file in (parts / "train" / "good").iterdir():
        shutil.copy(file, new / f"copy{file.name}")
    with pytest.raises(TrainedOnError):
        pictures_from_folder(saved, new)


def test_pictures_that_ranges_are_found_from_are_left_out_and_said(bundle):
    folder, lines = _good_parts(bundle, n=20), []
    (folder / "broken.png").write_bytes(b"no picture")
    unsaved = with_range_pictures(bundle, range_pictures_from_folder(bundle, folder, 8))
    saved = unsaved.save_with(unsaved.manifest)
    assert len(pictures_from_folder(saved, folder, lines.append)) == 12
    assert "broken.png" in lines[0]
    assert "8 of 20 pictures" in lines[1]
    assert "INT8 ranges" in lines[1]


def test_a_bundle_without_pictures_does_not_send_in_circles(bundle, parts):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": ()}))
    with pytest.raises(BundleError) as caught:
        calibrate(bare, 0.1)
    assert f"edgerd calibrate {bare.path} DATA" in caught.value.hint
    assert "edgerd export RUN" in caught.value.hint
    with pytest.raises(TrainedOnError) as caught:
        pictures_from_folder(bare, parts)
    assert "the ones that were held out" not in caught.value.hint


def test_a_bundle_that_cannot_be_written_is_refused_before_the_work(bundle, monkeypatch):
    monkeypatch.setattr("edgerd.building.calibrate.open_engine", lambda *_: pytest.fail("took its time"))
    monkeypatch.setattr("edgerd.storage.tempfile.mkdtemp", read_only)
    with pytest.raises(StorageError, match="Read-only") as caught:
        calibrate(bundle, 0.1)
    assert "-o" not in caught.value.hint


def read_only(**_):
    raise OSError(errno.EROFS, "Read-only file system")


def test_other_good_pictures_are_taken_from_a_folder(bundle):
    pictures = pictures_from_folder(bundle, _good_parts(bundle, n=12))
    assert pictures.shape == (12, 1, 64, 64, 3)
    assert calibrate(bundle, 0.1, pictures).threshold.n_good == 12


def test_a_camera_gives_different_pictures_and_stops_when_there_are_enough(bundle):
    said: list[str] = []
    pictures = pictures_from_camera(bundle, "sample://ring?n=30&seed=5&defective=0", 1.0, 20, said.append)
    assert len(pictures) == 20
    assert len({picture.tobytes() for picture in pictures}) == 20
    assert said == ["10 of 20 pictures", "20 of 20 pictures"]


def test_a_camera_that_gives_too_few_is_an_error(bundle):
    with pytest.raises(CameraError, match="gave 3 different pictures"):
        pictures_from_camera(bundle, "sample://ring?n=3&seed=5&defective=0", 1.0, 20)


def test_a_rate_that_is_none_is_refused(bundle):
    with pytest.raises(InputError):
        calibrate(bundle, 1.0)


def _good_parts(bundle: Bundle, n: int):
    root = bundle.path.parent / "more"
    write_dataset(root, "ring", n_train=n, n_test_good=1, n_per_defect=1, size=96, seed=7)
    return root / "train" / "good"
