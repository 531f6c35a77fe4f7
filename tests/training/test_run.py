"""A run folder: real files in, a run that can be trained, resumed and refused."""

import errno
import os
import resource
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.dataset import Dataset
from edgerd.data.pictures import read_picture, write_png
from edgerd.data.preprocess import parse_region, parse_tiles, prepare
from edgerd.errors import DatasetError, InputError, PictureError, SpecError, StorageError
from edgerd.models.teachers import make_teacher
from edgerd.training.loop import train
from edgerd.training.run import RunFolder, TrainingConfig

SPEC = PreprocessSpec(height=64, width=64)
CONFIG = TrainingConfig(teacher="mini", method="rd4ad", student="full", holdout=0.1, preprocess=SPEC, steps=2)


def files_of(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


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


def test_what_was_prepared_is_there_when_it_is_opened_and_the_pictures_are_gone(tmp_path, pictures):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    shutil.rmtree(pictures)
    opened = RunFolder.open(run.path)
    assert opened == run
    assert np.array_equal(opened.training_tiles(), run.training_tiles())
    assert train(opened, make_teacher("mini"), device="cpu").total_steps == 2


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


def test_a_folder_that_is_taken_is_left_alone(tmp_path, pictures):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "run", tmp_path / "file"):
        with pytest.raises(InputError, match="is not empty") as caught:
            RunFolder.prepare(path, pictures, CONFIG)
        assert "--resume" in caught.value.hint
    assert files_of(tmp_path / "run") == {"thesis.txt"}


def test_an_empty_folder_will_do(tmp_path, pictures):
    (tmp_path / "run").mkdir()
    assert RunFolder.prepare(tmp_path / "run", pictures, CONFIG).path == tmp_path / "run"


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


def test_the_same_pictures_are_known_wherever_they_lie(tmp_path, pictures, monkeypatch):
    (pictures / "3.png").write_bytes(b"")
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    elsewhere = shutil.copytree(pictures, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    for data in (pictures, elsewhere, pictures.relative_to(tmp_path)):
        assert RunFolder.open(run.path).is_of(data)


@pytest.mark.parametrize("change", ["fewer", "more", "other", "renamed"])
def test_other_pictures_are_told_apart(tmp_path, pictures, change):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    first = pictures / "0.png"
    if change == "fewer":
        first.unlink()
    elif change == "more":
        write_png(pictures / "new.png", np.zeros((50, 70, 3), np.uint8))
    elif change == "other":
        write_png(first, read_picture(first) ^ 1)
    else:
        first.rename(pictures / "zero.png")
    assert not run.is_of(pictures)


def test_extending_changes_how_long_and_nothing_else(tmp_path, pictures):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    longer = run.extend(epochs=7)
    assert RunFolder.open(run.path) == longer
    assert (longer.record.config.epochs, longer.record.config.steps) == (7, None)
    back = longer.extend(steps=2)
    assert back.record == run.record


def test_a_folder_without_a_run_says_how_to_start_one(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="There is no run at") as caught:
            RunFolder.open(path)
        assert "edgerd train" in caught.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"edgerd_version": "9"}'])
def test_a_damaged_record_is_named(tmp_path, pictures, content):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    (run.path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "pickled"])
def test_damaged_pictures_are_named(tmp_path, pictures, damage):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    for name in ("train.npy", "holdout.npy"):
        file = run.path / name
        content = file.read_bytes()
        file.unlink()
        if damage == "pickled":
            np.save(file, np.array([{}], object))
        elif damage != "missing":
            file.write_bytes(content[: 0 if damage == "empty" else len(content) // 2])
    for read in (run.training_tiles, run.holdout_pictures, lambda: run.range_pictures(4)):
        with pytest.raises(InputError, match=r"\.npy cannot be read"):
            read()


@pytest.fixture
def nearly_full_disk():
    """Files end at 100 kB, as on a disk that is full: the error comes from the operating system, while writing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_run_so_that_the_same_command_works_later(tmp_path, pictures, nearly_full_disk):
    with pytest.raises(StorageError, match="run could not be written") as caught:
        RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    assert caught.value.exit_code == 1
    assert files_of(tmp_path / "run") == set()
    small = CONFIG.model_copy(update={"preprocess": PreprocessSpec(height=32, width=32)})
    assert RunFolder.prepare(tmp_path / "run", pictures, small).record.config == small


def test_a_full_disk_leaves_the_record_as_it_was(tmp_path, pictures, monkeypatch):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    before = (run.path / "run.json").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(StorageError):
            run.extend(epochs=9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (run.path / "run.json").read_bytes() == before
    assert files_of(run.path) == {"run.json", "train.npy", "holdout.npy"}


def test_another_holdout_and_seed_make_another_split(tmp_path, pictures):
    splits = {
        RunFolder.prepare(
            tmp_path / f"{seed}{part}", pictures, CONFIG.model_copy(update={"seed": seed, "holdout": part})
        ).record.holdout
        for seed, part in ((0, 0.1), (1, 0.1), (0, 0.4))
    }
    assert sorted(len(split) for split in splits) == [8, 8, 10]


def test_torch_leaves_the_prepared_pictures_alone(tmp_path, pictures):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    before = (run.path / "train.npy").read_bytes()
    torch.manual_seed(0)
    train(run, make_teacher("mini"), device="cpu")
    assert (run.path / "train.npy").read_bytes() == before


def test_a_record_that_may_not_be_read_is_no_reason_to_train_again(tmp_path, pictures, monkeypatch):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)

    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(run.path), "read_bytes", refuse)
    with pytest.raises(InputError, match="Permission denied") as caught:
        RunFolder.open(run.path)
    assert "Train again" not in caught.value.hint
