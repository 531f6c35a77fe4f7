"""The pictures that the gate compares on: those of a folder, and those of the bundle."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from edgerd.acceptance.gate_pictures import gate_pictures
from edgerd.acceptance.new_pictures import TrainedOnError
from edgerd.acceptance.scores import holdout_pictures
from edgerd.bundle.manifest import RegionSpec
from edgerd.data.pictures import added_pictures, load_bundle_pictures, write_png
from edgerd.data.samples import write_dataset
from edgerd.errors import BundleError, DatasetError, PictureError, SpecError


@pytest.fixture
def more(tmp_path):
    """Parts of the same kind that training never saw, with test pictures and masks."""
    root = tmp_path / "more"
    write_dataset(root, "ring", n_train=9, n_test_good=2, n_per_defect=1, size=96, seed=7)
    return root


def test_without_a_folder_the_held_out_ones(bundle):
    pictures = gate_pictures(bundle)
    assert np.array_equal(pictures.good, holdout_pictures(bundle))
    assert pictures.n_never_seen == 10
    assert pictures.labelled is None
    assert not pictures.notes


def test_where_training_saw_all_good_ones_those_are_compared_on_and_it_is_said(bundle):
    manifest = bundle.manifest
    fitted = bundle.save_with(manifest.model_copy(update={"holdout": ()}))
    pictures = gate_pictures(fitted)
    ranges = load_bundle_pictures(fitted, manifest.ranges, manifest.preprocess)
    assert np.array_equal(pictures.good, ranges)
    assert pictures.n_never_seen == 0
    assert f"compared with FP32 on {len(ranges)} that it saw" in pictures.notes[0]
    pictures = gate_pictures(with_added(fitted, 255 - ranges[:3]))
    assert (len(pictures.good), pictures.n_never_seen) == (3 + len(ranges), 3)


def with_added(bundle, added):
    files = added_pictures(added)
    return bundle.save_with(bundle.manifest.model_copy(update={"holdout": tuple(files)}), files)


def test_pasted_defects_are_the_same_each_time(bundle):
    pictures = gate_pictures(bundle)
    assert len(pictures.pasted.pictures) == 48
    assert np.array_equal(pictures.pasted.pictures, gate_pictures(bundle).pasted.pictures)


def test_a_plain_folder_holds_good_ones(bundle, more):
    """They are added to the bundle's own, and do not count among those that a threshold is found from."""
    pictures = gate_pictures(bundle, more / "train" / "good")
    assert pictures.good.shape == (19, 1, 64, 64, 3)
    assert np.array_equal(pictures.good[:10], holdout_pictures(bundle))
    assert pictures.n_never_seen == 10
    assert pictures.labelled is None
    assert "thresholds stay as they were found" in pictures.notes[0]


def test_mvtecs_layout_has_labels_and_masks_and_good_ones_that_training_never_saw(bundle, more):
    pictures = gate_pictures(bundle, more)
    n_defective = len(list((more / "test").glob("[!g]*/*.png")))
    assert pictures.good.shape == (19, 1, 64, 64, 3)
    assert pictures.labelled.shape == (2 + n_defective, 1, 64, 64, 3)
    assert pictures.labels.is_good.sum() == 2
    assert all(mask.shape == (1, 64, 64) for mask in pictures.labels.masks)
    has_defect = [mask.any() for mask in pictures.labels.masks]
    assert np.array_equal(has_defect, ~pictures.labels.is_good)


def test_what_the_student_was_trained_on_gives_labels_and_no_threshold(bundle, parts):
    pictures = gate_pictures(bundle, parts)
    assert np.array_equal(pictures.good, holdout_pictures(bundle))
    assert len(pictures.labelled) == len(pictures.labels.defects) == len(list((parts / "test").glob("*/*.png")))
    assert "compared are 10 of the bundle" in pictures.notes[0]


def test_a_bundle_without_pictures_says_what_to_give_and_not_what_was_given(bundle, parts):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": (), "ranges": ()}))
    with pytest.raises(TrainedOnError) as caught:
        gate_pictures(bare, parts)
    assert "held out" not in caught.value.hint
    assert "training never saw: --calibration DATA" in caught.value.hint
    with pytest.raises(BundleError) as caught:
        gate_pictures(bare)
    assert "--calibration DATA" in caught.value.hint
    assert "edgerd calibrate" not in caught.value.hint


def test_a_test_picture_that_the_region_does_not_fit_is_named(bundle, more):
    small = next((more / "test" / "good").iterdir())
    write_png(small, np.zeros((40, 40, 3), np.uint8))
    spec = bundle.manifest.preprocess.model_copy(update={"region": RegionSpec(x=0, y=0, width=90, height=90)})
    of_region = bundle.save_with(bundle.manifest.model_copy(update={"preprocess": spec, "ranges": ()}))
    with pytest.raises(SpecError, match=small.name):
        gate_pictures(of_region, more)


def test_training_pictures_alone_are_refused(bundle, parts):
    with pytest.raises(TrainedOnError, match="trained on"):
        gate_pictures(bundle, parts / "train" / "good")


def test_a_test_picture_that_cannot_be_read_is_left_out_and_named(bundle, more):
    broken = next((more / "test" / "good").iterdir())
    broken.write_bytes(b"no picture")
    pictures = gate_pictures(bundle, more)
    assert list(pictures.skipped) == [str(broken)]
    assert pictures.labels.is_good.sum() == 1


def test_no_test_picture_that_can_be_read(bundle, more):
    shutil.rmtree(more / "ground_truth")
    for file in (more / "test").glob("*/*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="test pictures can be read"):
        gate_pictures(bundle, more)


def test_a_mask_of_another_size_is_named(bundle, more):
    mask = next((more / "ground_truth").glob("*/*.png"))
    cv2.imwrite(str(mask), np.zeros((7, 7), np.uint8))
    with pytest.raises(PictureError, match=mask.name):
        gate_pictures(bundle, more)


def test_labelled_pictures_alone_are_judged_beside_the_bundles_own(bundle, more):
    shutil.rmtree(more / "train")
    pictures = gate_pictures(bundle, more)
    assert np.array_equal(pictures.good, holdout_pictures(bundle))
    assert len(pictures.labelled) == 2 + 6


def test_training_pictures_among_the_labelled_ones_are_said(bundle, more, parts):
    for file in sorted((parts / "train" / "good").iterdir()):
        shutil.copy(file, more / "test" / "good" / f"again{file.name}")
    notes = gate_pictures(bundle, more).notes
    assert any("30 of 48 pictures are among those this bundle was trained on" in note for note in notes)
