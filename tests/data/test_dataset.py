"""Layouts of data sets: which pictures are good, which defective, and where their masks are."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_files import put, put_mask

from edgerd.data.dataset import Dataset, TestPicture, read_mask_for
from edgerd.data.pictures import read_picture, write_png
from edgerd.errors import DatasetError, PictureError

REAL_DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def test_mvtec_layout(mvtec):
    dataset = Dataset.open(mvtec)
    assert dataset.root == mvtec
    assert [path.name for path in dataset.train_good] == ["1.png", "9.png", "10.png"]
    assert [(picture.defect, picture.is_defective) for picture in dataset.test] == [
        ("bent", True),
        ("good", False),
        ("scratch", True),
    ]
    assert dataset.test[0].mask_path == mvtec / "ground_truth/bent/0_mask.png"
    assert dataset.test[1].mask_path is None


def test_a_folder_of_good_pictures(tmp_path):
    paths = [put(tmp_path / name) for name in ("part2.png", "part10.PNG", "Part1.png")]
    dataset = Dataset.open(tmp_path)
    assert dataset.train_good == (paths[2], paths[0], paths[1])
    assert dataset.test == ()


def test_what_is_no_picture_is_ignored(tmp_path):
    paths = (put(tmp_path / "1.png"), put(tmp_path / "2.png"))
    put(tmp_path / "._1.png")
    put(tmp_path / "more" / "3.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert Dataset.open(tmp_path).train_good == paths


def test_links_are_followed(mvtec, tmp_path):
    (tmp_path / "link").symlink_to(mvtec)
    (mvtec / "train/good/11.png").symlink_to(put(tmp_path / "elsewhere.png"))
    dataset = Dataset.open(tmp_path / "link")
    assert [path.name for path in dataset.train_good] == ["1.png", "9.png", "10.png", "11.png"]


def test_no_such_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"no folder .*absent"):
        Dataset.open(tmp_path / "absent")
    with pytest.raises(DatasetError, match="is one picture"):
        Dataset.open(put(tmp_path / "file.png"))


def test_empty_folder(tmp_path):
    with pytest.raises(DatasetError, match="no pictures") as caught:
        Dataset.open(tmp_path)
    assert caught.value.exit_code == 2
    assert ".png" in str(caught.value)


def test_one_picture(tmp_path):
    put(tmp_path / "1.png")
    with pytest.raises(DatasetError, match="only one picture"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("name", ["ok", "good"])
def test_folders_of_another_layout_are_named(tmp_path, name):
    put(tmp_path / name / "1.png")
    put(tmp_path / "bad" / "1.png")
    with pytest.raises(DatasetError, match=rf"bad, {name}") as caught:
        Dataset.open(tmp_path)
    assert str(tmp_path / name) in caught.value.hint


@pytest.mark.parametrize("names", [("normal_parts", "NG"), ("OKAY", "NG"), ("good", "ok"), ("batch1", "batch2")])
def test_no_folder_is_proposed_where_it_is_not_known_to_hold_good_parts(tmp_path, names):
    for name in names:
        put(tmp_path / name / "1.png")
    with pytest.raises(DatasetError) as caught:
        Dataset.open(tmp_path)
    assert str(tmp_path) not in caught.value.hint
    assert "good parts" in caught.value.hint


def test_visas_own_layout_is_refused_and_its_good_folder_named(tmp_path):
    for name in ("Anomaly", "Normal"):
        put(tmp_path / "candle/Data/Images" / name / "1.JPG")
    put_mask(tmp_path / "candle/Data/Masks/Anomaly/1.png")
    with pytest.raises(DatasetError, match="Data/Images/Anomaly, Data/Images/Normal") as caught:
        Dataset.open(tmp_path / "candle")
    assert caught.value.hint == f"Name {tmp_path / 'candle/Data/Images/Normal'} instead."


def test_good_pictures_beside_test_are_named_instead(tmp_path):
    for place in ("good", "test/good", "test/bent"):
        put(tmp_path / place / "1.png")
    with pytest.raises(DatasetError, match="train/good; there are pictures in good, test/bent, test/good") as caught:
        Dataset.open(tmp_path)
    assert caught.value.hint == f"Name {tmp_path / 'good'} instead."


def test_good_pictures_to_test_on_are_not_proposed_for_training(tmp_path):
    for place in ("test/good", "test/bent"):
        put(tmp_path / place / "1.png")
    for folder in (tmp_path, tmp_path / "test"):
        with pytest.raises(DatasetError) as caught:
            Dataset.open(folder)
        assert caught.value.hint == "Name the folder that holds good parts, and only those."


def test_a_folder_of_several_data_sets_proposes_none(mvtec):
    shutil.copytree(mvtec, mvtec.parent / "nuts")
    with pytest.raises(DatasetError) as caught:
        Dataset.open(mvtec.parent)
    assert caught.value.hint == "Name one of the data sets instead."


class TestWhatIsNeeded:
    def test_labelled_pictures_need_no_good_ones_to_train_on(self, mvtec):
        shutil.rmtree(mvtec / "train")
        dataset = Dataset.open_labelled(mvtec)
        assert [picture.defect for picture in dataset.test] == ["bent", "good", "scratch"]
        assert dataset.unused() == ()

    def test_good_pictures_need_no_masks(self, mvtec):
        put(mvtec / "test/bent/1.png")
        assert len(Dataset.open_good(mvtec).train_good) == 3

    def test_a_folder_of_pictures_may_hold_one_called_test(self, tmp_path):
        paths = tuple(put(tmp_path / f"{index}.png") for index in range(3))
        for name in ("test", "train", "ground_truth"):
            put(tmp_path / name / "a.png")
        for dataset in (Dataset.open(tmp_path), Dataset.open_good(tmp_path)):
            assert (dataset.train_good, dataset.test) == (paths, ())
            assert [line.split(" in ")[0] for line in dataset.unused()] == ["1 picture"] * 3
        assert Dataset.open_labelled(tmp_path).test == ()

    def test_two_folders_of_good_parts_are_one_too_many(self, mvtec):
        put(mvtec / "train/OK/1.png")
        with pytest.raises(DatasetError, match=r"good and OK|OK and good"):
            Dataset.open(mvtec)


class TestOtherNames:
    def test_btad(self, tmp_path):
        for name in ("train/ok/0.bmp", "train/ok/1.bmp", "test/ok/0.bmp", "test/ko/0.bmp"):
            put(tmp_path / name)
        mask = put_mask(tmp_path / "ground_truth/ko/0.png")
        dataset = Dataset.open(tmp_path)
        assert [(one.defect, one.mask_path) for one in dataset.test] == [("ko", mask), ("good", None)]
        assert len(dataset.train_good) == 2
        assert dataset.unused() == ()

    def test_mvtec_loco_has_several_masks_for_a_picture(self, mvtec):
        (mvtec / "ground_truth/bent/0_mask.png").unlink()
        left, right = np.zeros((2, 8, 8), np.bool_)
        left[2, :3], right[2, 6:] = True, True
        write_png(mvtec / "ground_truth/bent/0/000.png", left)
        write_png(mvtec / "ground_truth/bent/0/001.png", right)
        dataset = Dataset.open(mvtec)
        assert np.array_equal(read_mask_for(dataset.test[0], 8, 8), left | right)
        assert dataset.unused() == ()

    def test_one_picture_without_its_folder_of_masks(self, mvtec):
        (mvtec / "ground_truth/bent/0_mask.png").unlink()
        put_mask(mvtec / "ground_truth/bent/0/000.png")
        put(mvtec / "test/bent/1.png")
        with pytest.raises(DatasetError, match=r"bent/1\.png has no mask"):
            Dataset.open(mvtec)

    def test_every_mask_of_a_picture_must_have_its_size(self, mvtec):
        (mvtec / "ground_truth/bent/0_mask.png").unlink()
        put_mask(mvtec / "ground_truth/bent/0/000.png")
        put_mask(mvtec / "ground_truth/bent/0/001.png", height=7)
        with pytest.raises(PictureError, match=r"001\.png is 8x7"):
            read_mask_for(Dataset.open(mvtec).test[0], 8, 8)


def test_a_folder_of_data_sets(mvtec):
    with pytest.raises(DatasetError, match="folders screws") as caught:
        Dataset.open(mvtec.parent)
    assert str(mvtec) in caught.value.hint


def test_no_train_good(mvtec):
    (mvtec / "train/good").rename(mvtec / "train/fine")
    with pytest.raises(DatasetError, match=r"no folder .*good"):
        Dataset.open(mvtec)


def test_test_pictures_of_no_kind(mvtec):
    put(mvtec / "test/0.png")
    with pytest.raises(DatasetError, match="no kind"):
        Dataset.open(mvtec)


class TestMasks:
    def test_no_masks_at_all(self, mvtec):
        (mvtec / "ground_truth").rename(mvtec / "elsewhere")
        assert all(picture.mask_path is None for picture in Dataset.open(mvtec).test)

    def test_one_kind_without_masks(self, mvtec):
        (mvtec / "ground_truth/bent/0_mask.png").unlink()
        masks = {picture.defect: picture.mask_path for picture in Dataset.open(mvtec).test}
        assert masks["bent"] is None
        assert masks["scratch"] is not None

    def test_one_mask_missing_among_others(self, mvtec):
        put(mvtec / "test/bent/1.png")
        with pytest.raises(DatasetError, match=r"bent/1\.png has no mask .*1_mask\.png"):
            Dataset.open(mvtec)

    def test_read(self, mvtec):
        bent, good, _ = Dataset.open(mvtec).test
        assert np.array_equal(read_mask_for(bent, 8, 8), np.eye(8, dtype=np.bool_))
        assert not read_mask_for(good, 8, 8).any()
        assert read_mask_for(TestPicture(bent.path, "bent"), 8, 8) is None

    def test_wrong_size_names_both(self, mvtec):
        put_mask(mvtec / "ground_truth/bent/0_mask.png", height=7, width=9)
        with pytest.raises(PictureError, match=r"9x7 pixels.*8x8") as caught:
            read_mask_for(Dataset.open(mvtec).test[0], 8, 8)
        assert caught.value.exit_code == 2


def test_a_defect_in_train_good_names_both_files(mvtec):
    put(mvtec / "train/good/77.png", seed=5)
    put(mvtec / "test/bent/0.png", seed=5)
    with pytest.raises(DatasetError, match=r"good/77\.png is the same picture as .*bent/0\.png"):
        Dataset.open(mvtec)


def test_a_good_test_picture_may_repeat_a_training_picture(mvtec):
    put(mvtec / "train/good/77.png", seed=5)
    put(mvtec / "test/good/0.png", seed=5)
    assert len(Dataset.open(mvtec).train_good) == 4


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0)
    try:
        with pytest.raises(DatasetError, match="cannot be read"):
            Dataset.open(tmp_path)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="no pictures in ../shared/data")
class TestRealPictures:
    def test_magnetic_tiles(self):
        dataset = Dataset.open(REAL_DATA / "mtd")
        assert len(dataset.train_good) == 700
        defective = [picture for picture in dataset.test if picture.is_defective]
        assert len(defective) == 392
        for picture in defective[::40]:
            height, width = read_picture(picture.path).shape[:2]
            assert read_mask_for(picture, height, width).any()

    def test_metal_nut_has_no_masks(self):
        dataset = Dataset.open(REAL_DATA / "metal_nut")
        assert len(dataset.train_good) == 198
        assert {picture.defect for picture in dataset.test} == {"bent", "good", "scratch"}
        assert all(picture.mask_path is None for picture in dataset.test)
