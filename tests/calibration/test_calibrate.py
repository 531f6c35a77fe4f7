"""Thresholds come from good pictures that training never saw, for every engine that runs here."""

from __future__ import annotations

import errno
import shutil

import numpy as np
import pytest

from edgerd.acceptance.new_pictures import NewPictures, TrainedOnError, pictures_from_camera, pictures_from_folder
from edgerd.acceptance.scores import holdout_pictures, maps_of, scores_of
from edgerd.building.engine import build_engine
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import CrossFitRecord
from edgerd.calibration.calibrate import calibrate
from edgerd.calibration.new_ranges import with_range_pictures
from edgerd.calibration.range_pictures import range_pictures_from_folder
from edgerd.data.samples import write_dataset
from edgerd.errors import BundleError, CameraError, DatasetError, InputError, StorageError
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.runtimes.choose import open_engine


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
    spoiled = good.pictures.copy()
    spoiled[5, 0, 16:40, 16:40] = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    ((name, score),) = calibrate(bundle, 0.1, NewPictures(spoiled, good.names)).suspicious
    assert name.startswith(f"{good.names[5]} (pictures/added/")
    assert score > bundle.manifest.threshold.largest_score


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
    lines = []
    assert len(pictures_from_folder(saved, new, lines.append)) == 4
    assert lines[0] == f"left out: 30 of 52 pictures in {new}, training saw them."
    assert "8 of 52 pictures" in lines[1]
    assert "10 of 52 pictures" in lines[2]


def test_where_only_some_training_pictures_are_known_all_are_refused(bundle, parts):
    """With one that is known come others that are not."""
    some = bundle.save_with(bundle.manifest.model_copy(update={"trained_on": bundle.manifest.trained_on[:20]}))
    new = _good_parts(bundle, n=12)
    for file in (parts / "train" / "good").iterdir():
        shutil.copy(file, new / f"copy{file.name}")
    with pytest.raises(TrainedOnError):
        pictures_from_folder(some, new)


def test_pictures_that_ranges_are_found_from_are_left_out_and_said(bundle):
    folder, lines = _good_parts(bundle, n=20), []
    (folder / "broken.png").write_bytes(b"no picture")
    unsaved = with_range_pictures(bundle, range_pictures_from_folder(bundle, folder, 8))
    saved = unsaved.save_with(unsaved.manifest)
    assert len(pictures_from_folder(saved, folder, lines.append)) == 12
    assert "broken.png" in lines[0]
    assert "8 of 20 pictures" in lines[1]
    assert "INT8 ranges" in lines[1]


def test_what_was_added_counts_together_with_what_training_held_out(bundle):
    new = pictures_from_folder(bundle, _good_parts(bundle, n=12))
    threshold = calibrate(bundle, 0.01, new).threshold
    assert (threshold.n_good, threshold.n_more_needed) == (22, 77)
    again = Bundle.open(bundle.path)
    assert again.verify() == len(again.manifest.files)
    assert np.array_equal(holdout_pictures(again)[10:], new.pictures)
    assert calibrate(again, 0.1).threshold.n_good == 22


def test_as_many_as_were_said_to_be_needed_settle_the_rate(bundle):
    before = calibrate(bundle, 0.05)
    assert (before.threshold.extrapolated, before.threshold.n_more_needed) == (True, 9)
    after = calibrate(before.bundle, 0.05, pictures_from_folder(bundle, _good_parts(bundle, n=9))).threshold
    assert (after.extrapolated, after.n_more_needed) == (False, 0)


def test_a_picture_that_is_there_already_does_not_count_twice(bundle):
    folder, said = _good_parts(bundle, n=12), []
    shutil.copy(folder / "000.png", folder / "copy.png")
    added = calibrate(bundle, 0.1, pictures_from_folder(bundle, folder)).bundle
    assert added.manifest.threshold.n_good == 22
    assert len(pictures_from_folder(added, folder, said.append)) == 0
    assert said == [f"13 of 13 pictures in {folder} are in {bundle.path} already."]
    assert calibrate(added, 0.1, pictures_from_folder(added, folder)).threshold == added.manifest.threshold


def test_a_start_afresh_forgets_what_was_added_and_keeps_what_training_gave(bundle):
    folder = _good_parts(bundle, n=12)
    added = calibrate(bundle, 0.1, pictures_from_folder(bundle, folder)).bundle
    for index in range(4):
        (folder / f"{index:03d}.png").unlink()
    new = pictures_from_folder(added, folder, replace=True)
    replaced = calibrate(added, 0.1, new, replace=True).bundle
    assert len(new) == 8
    assert replaced.manifest.threshold.n_good == 18
    assert len(replaced.manifest.added) == 8
    assert len([*(bundle.path / "pictures" / "added").iterdir()]) == 8
    assert calibrate(replaced, 0.01, replace=True).threshold == bundle.manifest.threshold


def test_an_engine_that_is_built_later_has_the_threshold_of_all_good_pictures(bundle):
    """`build-engine` once took its threshold from the pictures that training held out, whatever was added since."""
    calibrated = calibrate(bundle, 0.05, pictures_from_folder(bundle, _good_parts(bundle, n=12)))
    built = build_engine(calibrated.bundle, runtime="onnxruntime", precision="fp32")
    assert not built.chosen.threshold.extrapolated
    assert built.chosen.threshold.n_good == 22
    assert built.chosen.threshold.value == pytest.approx(calibrated.threshold.value, abs=1e-4)


SCORES = tuple(np.linspace(0.2, 0.9, 99).tolist())


def cross_fitted(bundle: Bundle, **fields) -> Bundle:
    """As training with cross-fitting leaves it: all good pictures trained on, none held out."""
    record = CrossFitRecord(folds=4, scores=SCORES)
    return bundle.save_with(bundle.manifest.model_copy(update={"holdout": (), "cross_fit": record, **fields}))


def test_scores_of_cross_fitting_settle_the_rate_without_a_held_out_picture(bundle):
    threshold = calibrate(cross_fitted(bundle), 0.01).threshold
    assert threshold == threshold_from_scores(SCORES, 0.01)
    assert (threshold.n_good, threshold.value, threshold.extrapolated) == (99, 0.9, False)


def test_scores_of_cross_fitting_and_of_added_pictures_count_together(bundle):
    fitted = cross_fitted(bundle)
    new = pictures_from_folder(fitted, _good_parts(bundle, n=12))
    calibration = calibrate(fitted, 0.01, new)
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        added = scores_of(maps_of(opened.engine, new.pictures))
    assert calibration.threshold == threshold_from_scores([*SCORES, *added], 0.01)
    assert Bundle.open(bundle.path).manifest.threshold.n_good == 111


def test_an_engine_of_a_cross_fitted_bundle_moves_its_threshold_as_its_scores_moved(bundle):
    calibrated = calibrate(cross_fitted(bundle), 0.01).bundle
    built = build_engine(calibrated, runtime="openvino", precision="fp32")
    (engine,) = built.bundle.manifest.engines
    assert engine.threshold.n_good == 99
    assert engine.threshold.value == pytest.approx(0.9, abs=1e-4)
    assert engine.gate.n_pictures == len(bundle.manifest.ranges)
    assert "pasted defects lost" in {check.name for check in engine.gate.checks}
    (renewed,) = calibrate(built.bundle, 0.05).bundle.manifest.engines
    assert renewed.threshold.value == pytest.approx(threshold_from_scores(SCORES, 0.05).value, abs=1e-4)


def test_pictures_that_do_not_travel_count_by_their_scores(bundle):
    """`export --no-pictures`"""
    held_out = holdout_pictures(bundle)
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": (), "ranges": ()}))
    kept = calibrate(bare, 0.01, NewPictures(held_out, ("?",) * 10), keep=False).bundle
    assert kept.manifest.holdout == ()
    assert kept.manifest.threshold == bundle.manifest.threshold
    assert kept.manifest.rough_recall.n == 48
    loose = calibrate(kept, 0.3)
    assert loose.threshold.n_good == 10
    more = calibrate(loose.bundle, 0.3, pictures_from_folder(kept, _good_parts(bundle, n=12)))
    assert more.threshold.n_good == 22


def test_a_bundle_without_pictures_does_not_send_in_circles(bundle, parts):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": ()}))
    with pytest.raises(BundleError) as caught:
        calibrate(bare, 0.1)
    assert "no good pictures" in caught.value.what
    assert f"edgerd calibrate {bare.path} DATA" in caught.value.hint
    assert "edgerd export RUN" in caught.value.hint
    with pytest.raises(TrainedOnError) as caught:
        pictures_from_folder(bare, parts)
    assert "the ones that were held out" not in caught.value.hint


def test_a_bundle_that_cannot_be_written_is_refused_before_the_work(bundle, monkeypatch):
    monkeypatch.setattr("edgerd.calibration.calibrate.open_engine", lambda *_: pytest.fail("took its time"))
    monkeypatch.setattr("tempfile.mkdtemp", read_only)
    with pytest.raises(StorageError, match="Read-only") as caught:
        calibrate(bundle, 0.1)
    assert "-o" not in caught.value.hint


def read_only(**_):
    raise OSError(errno.EROFS, "Read-only file system")


def test_other_good_pictures_are_taken_from_a_folder(bundle):
    folder = _good_parts(bundle, n=12)
    new = pictures_from_folder(bundle, folder)
    assert new.pictures.shape == (12, 1, 64, 64, 3)
    assert new.names == tuple(str(folder / f"{index:03d}.png") for index in range(12))


def test_a_camera_gives_different_pictures_and_stops_when_there_are_enough(bundle):
    said: list[str] = []
    new = pictures_from_camera(bundle, "sample://ring?n=30&seed=5&defective=0", 1.0, 20, said.append)
    assert len(new) == len(new.names) == 20
    assert len({picture.tobytes() for picture in new.pictures}) == 20
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
