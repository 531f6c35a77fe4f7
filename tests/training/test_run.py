"""A run folder is opened, extended and recognised again; damage and a full disk are named and destroy nothing."""

from __future__ import annotations

import errno
import resource
import shutil

import numpy as np
import pytest
import torch
from run_folders import CONFIG, files_of

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.pictures import read_picture, write_png
from edgerd.errors import InputError, StorageError
from edgerd.models.teachers import make_teacher
from edgerd.training.loop import train
from edgerd.training.run import RunFolder


def test_what_was_prepared_is_there_when_it_is_opened_and_the_pictures_are_gone(tmp_path, pictures):
    run = RunFolder.prepare(tmp_path / "run", pictures, CONFIG)
    shutil.rmtree(pictures)
    opened = RunFolder.open(run.path)
    assert opened == run
    assert np.array_equal(opened.training_tiles(), run.training_tiles())
    assert train(opened, make_teacher("mini"), device="cpu").total_steps == 2


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
