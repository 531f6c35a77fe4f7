"""Pictures of all kinds become a run folder's prepared tiles, or the one that cannot be used is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_folders import CONFIG, SPEC, files_of

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.dataset import Dataset
from edgerd.data.preprocess import parse_region, parse_tiles, prepare
from edgerd.errors import DatasetError, PictureError, SpecError
from edgerd.models.teachers import make_teacher
from edgerd.training.loop import train
from edgerd.training.run import RunFolder


def test_pictures_are_split_prepared_and_kept(tmp_path, pictures):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    assert files_of(run.path) == {"run.json", "train.npy", "holdout.npy"}
    assert len(run.record.train) == 16
    assert len(run.record.holdout) == 8
    assert set(run.record.train) | set(run.record.holdout) == {str(file) for file in pictures.iterdir()}
    for names, kept in (
        (run.record.train, run.training_tiles()[:, None]),
        (run.record.holdout, run.holdout_pictures()),
    ):
        expected = [prepare(cv2.imread(name), SPEC) for name in names]
        assert np.array_equal(kept, np.stack(expected))


def test_file_names_that_are_not_utf_8_are_trained_on_and_resumed(tmp_path, pictures):
    for file in list(pictures.iterdir()):
        file.rename(file.with_name(os.fsdecode(b"pr\xfcfung ") + file.name))
    bad = pictures / os.fsdecode(b"\xff.png")
    bad.write_bytes(b"")
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    assert RunFolder.open(run.path) == run
    assert len(run.record.skipped) == 1
    assert run.is_of(pictures)
    assert not run.is_of(Path(shutil.copytree(pictures, tmp_path / "other", ignore=shutil.ignore_patterns("*1.png"))))


def test_tiles_are_trained_on_one_by_one(tmp_path, pictures):
    spec = PreprocessSpec(height=32, width=64, region=parse_region("0,0,60,40"), tiles=parse_tiles("2x1"))
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG.model_copy(update={"preprocess": spec}))
    assert run.training_tiles().shape == (32, 32, 64, 3)
    assert run.holdout_pictures().shape == (8, 2, 32, 64, 3)
    expected = prepare(cv2.imread(run.record.train[3]), spec)
    assert np.array_equal(run.training_tiles()[6:8], expected)


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (5, 5), (16, 16), (99, 16)])
def test_pictures_for_ranges_are_spread_over_the_training_ones(tmp_path, pictures, n, expected):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    chosen = run.range_pictures(n)
    assert chosen.shape == (expected, 1, 64, 64, 3)
    everything = run.training_tiles()
    places = [next(i for i, tile in enumerate(everything) if np.array_equal(tile, picture[0])) for picture in chosen]
    assert places == sorted(set(places))
    assert n == 1 or (places[0], places[-1]) == (0, 15)


def test_a_truncated_file_in_the_middle_is_named_skipped_and_counted(tmp_path, pictures):
    bad = pictures / "11.png"
    bad.write_bytes(bad.read_bytes()[:90])
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    assert list(run.record.skipped) == [str(bad)]
    assert "11.png" in run.record.skipped[str(bad)]
    assert len(run.record.train) + len(run.record.holdout) == 23
    assert str(bad) not in (*run.record.train, *run.record.holdout)
    assert len(run.training_tiles()) == len(run.record.train)
    assert train(run, make_teacher("mini"), device="cpu").total_steps == 2


def test_strict_stops_there_and_leaves_nothing(tmp_path, pictures):
    bad = pictures / "11.png"
    bad.write_bytes(bad.read_bytes()[:90])
    with pytest.raises(PictureError, match=r"11\.png") as caught:
        RunFolder.prepare(tmp_path / "run", pictures, CONFIG, strict=True)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_pictures_of_all_kinds_and_sizes_train(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "mixed"
    folder.mkdir()
    for index in range(20):
        height, width = 40 + 3 * index, 150 - 5 * index
        grey = rng.integers(0, 256, (height, width), np.uint8)
        colour = rng.integers(0, 256, (height, width, 3), np.uint8)
        kinds = [
            ("png", grey),
            ("jpg", colour),
            ("tif", rng.integers(0, 65536, (height, width), np.uint16)),
            ("png", np.dstack([colour, grey])),
            ("png", rng.integers(0, 65536, (height, width, 3), np.uint16)),
        ]
        suffix, array = kinds[index % 5]
        assert cv2.imwrite(str(folder / f"{index}.{suffix}"), array)
    run = RunFolder.prepare(tmp_path / "run", folder, CONFIG)
    assert not run.record.skipped
    assert run.training_tiles().shape == (12, 64, 64, 3)
    losses = []
    train(run, make_teacher("mini"), device="cpu", on_step=lambda report: losses.append(report.loss))
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("n", "what"), [(0, "no pictures"), (1, "only one picture"), (15, "15 good pictures are too few")]
)
def test_too_few_pictures_are_counted(tmp_path, pictures, n, what):
    for file in sorted(pictures.iterdir())[n:]:
        file.unlink()
    with pytest.raises(DatasetError, match=what) as caught:
        RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_a_defective_picture_among_the_good_ones_is_named(tmp_path, parts):
    data = shutil.copytree(parts, tmp_path / "data")
    defect = next(picture for picture in Dataset.open(data).test if picture.is_defective)
    shutil.copy(defect.path, data / "train" / "good" / "z.png")
    with pytest.raises(DatasetError, match=r"z\.png"):
        RunFolder.prepare(tmp_path / "run", data, CONFIG)


def test_a_region_that_leaves_the_picture_is_named(tmp_path, pictures):
    spec = PreprocessSpec(height=64, width=64, region=parse_region("0,0,700,500"))
    with pytest.raises(SpecError, match=r"\.png"):
        RunFolder.prepare(tmp_path / "run", pictures, CONFIG.model_copy(update={"preprocess": spec}))
    assert not (tmp_path / "run").exists()


def test_one_picture_of_one_embedding_position_is_too_little_for_a_batch(tmp_path, pictures):
    smallest = PreprocessSpec(height=32, width=32)
    config = CONFIG.model_copy(update={"preprocess": smallest, "batch_size": 1})
    with pytest.raises(SpecError, match="one at a time") as caught:
        RunFolder.prepare(tmp_path / "run", pictures, config)
    assert "--batch-size" in caught.value.hint
    for name, change in (("a", {"batch_size": 2}), ("b", {"preprocess": PreprocessSpec(height=32, width=64)})):
        run = RunFolder.prepare(tmp_path / name, pictures, config.model_copy(update=change))
        assert train(run, make_teacher("mini"), device="cpu").total_steps == 2


def test_another_holdout_and_seed_make_another_split(tmp_path, pictures):
    splits = {
        RunFolder.prepare(
            tmp_path / f"{seed}{part}", pictures, CONFIG.model_copy(update={"seed": seed, "holdout": part})
        ).record.holdout
        for seed, part in ((0, 0.1), (1, 0.1), (0, 0.4))
    }
    assert sorted(len(split) for split in splits) == [8, 8, 10]
