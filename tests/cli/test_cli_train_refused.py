"""`edgerd train`: what it refuses, and what is then there."""

from __future__ import annotations

import errno
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from train_parts import QUICK, RD4AD

LITE0_WEIGHTS = Path(__file__).parents[2] / "edgerd" / "models" / "weights" / "lite0.safetensors"


@pytest.mark.parametrize(
    ("method", "options", "shown"),
    [
        ("edge", ("--epochs", 2), "--epochs 2 is of no use to method edge.*--steps, --cross-fit.*--method rd4ad"),
        ("edge", ("--holdout", 0.1), "--holdout 0.1 is of no use to method edge.*--method rd4ad"),
        ("rd4ad", ("--cross-fit", 3), "--cross-fit 3 is of no use to method rd4ad.*--holdout.*--method edge"),
        ("prototypes", ("--steps", 3), "--steps 3 is of no use to method prototypes.*--method edge"),
        ("prototypes", ("--cross-fit", 3), "--cross-fit 3 is of no use to method prototypes.*--method edge"),
    ],
)
def test_options_that_a_method_does_not_have(edgerd, parts, tmp_path, method, options, shown):
    result = edgerd("train", parts, "-o", tmp_path / "run", "--method", method, *options)
    assert result.exit_code == 2
    assert re.search(shown, result.err, re.DOTALL), result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("--teacher", "resnet18", "--teacher resnet18 cannot be used: .* was started with lite0"),
        ("--seed", 1, "--seed 1 cannot"),
        ("--image-size", 32, "--image-size 32 cannot be used: .* was started with 64"),
        ("--region", "0,0,64,64", "--region 0,0,64,64 cannot be used: .* was started with None"),
        ("--tiles", "2x2", "--tiles 2x2 cannot be used: .* was started with 1x1"),
    ],
)
def test_resume_refuses_other_settings(edgerd, trained_copy, parts, option, value, shown):
    result = edgerd("train", parts, "-o", trained_copy, "--resume", option, value)
    assert result.exit_code == 2
    assert re.search(shown, result.err)


def test_resume_refuses_other_pictures(edgerd, trained_copy, own_parts):
    changed = own_parts / "train" / "good" / "000.png"
    changed.write_bytes((own_parts / "train" / "good" / "001.png").read_bytes())
    result = edgerd("train", own_parts, "-o", trained_copy, "--resume")
    assert result.exit_code == 2
    assert "are not those that" in result.err


def test_resume_without_a_run(edgerd, parts, tmp_path):
    result = edgerd("train", parts, "-o", tmp_path / "none", "--resume")
    assert result.exit_code == 2
    assert "There is no run at" in result.err


def test_a_folder_that_is_taken_is_not_touched(train, parts, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")
    result = train(parts, out=taken)
    assert result.exit_code == 2
    assert "is not empty" in result.err
    assert [file.name for file in taken.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder(train, parts, tmp_path):
    (tmp_path / "file").write_text("")
    assert train(parts, out=tmp_path / "file").exit_code == 2
    result = train(parts, out=tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "could not be written" in result.err


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("--region", "0,0,500,500", r"000\.png: The region 0,0,500,500 .* leaves the frame of 96x96"),
        ("--region", "1,2,3", "The region '1,2,3' cannot be used"),
        ("--tiles", "2by2", "The tiling '2by2' cannot be used"),
        ("--image-size", 100, "--image-size 100 cannot be used.\nExpected: a multiple of 32"),
        ("--teacher", "resnet81", "no teacher named 'resnet81'"),
        ("--student", "lite", "one of full, light"),
        ("--method", "rd4", "Did you mean 'rd4ad'"),
        ("--batch-size", 0, "--batch-size"),
        ("--cross-fit", 1, "--cross-fit"),
    ],
)
def test_settings_that_cannot_be_used(train, parts, tmp_path, option, value, shown):
    result = train(parts, option, value)
    assert result.exit_code == 2
    assert re.search(shown, result.err), result.err
    assert not (tmp_path / "run").exists()


def test_a_holdout_that_leaves_too_few(train, parts, tmp_path):
    result = train(parts, "--holdout", 0.9, method=RD4AD)
    assert result.exit_code == 2
    assert "too few" in result.err
    assert not (tmp_path / "run").exists()


def test_weights_with_nan(train, parts, tmp_path):
    weights = load_file(LITE0_WEIGHTS)
    name = next(name for name, tensor in weights.items() if tensor.dtype.kind == "f")
    save_file(weights | {name: np.full_like(weights[name], np.nan)}, tmp_path / "nan.safetensors")
    result = train(parts, "--teacher-weights", tmp_path / "nan.safetensors")
    assert result.exit_code == 2
    assert "nan.safetensors" in result.err
    assert not (tmp_path / "run").exists()


def test_weights_of_another_architecture(edgerd, parts, tmp_path):
    result = edgerd("train", parts, "-o", tmp_path / "run", "--teacher", "resnet18", "--teacher-weights", LITE0_WEIGHTS)
    assert result.exit_code == 2
    assert "lite0.safetensors" in result.err
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_there(train, parts, tmp_path):
    result = train(parts, "--teacher-weights", tmp_path / "none.pth")
    assert result.exit_code == 2
    assert "none.pth" in result.err


def test_a_full_disk_while_the_pictures_are_written(train, parts, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgerd.training.run_files.np.save", full)
    result = train(parts)
    assert result.exit_code == 1
    assert "the disk is full" in result.err
    monkeypatch.undo()
    assert train(parts).exit_code == 0  # nothing is in the way


def test_a_full_disk_while_the_checkpoint_is_written(train, parts, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgerd.training.tensor_file.save_file", full)
    result = train(parts)
    assert result.exit_code == 1
    assert "the disk is full" in result.err
    assert "--resume" in result.err
    monkeypatch.undo()
    assert train(parts, "--resume").exit_code == 0


def test_without_torch_it_says_what_to_install(edgerd_process, parts):
    process = edgerd_process("train", parts, "-o", "run", blocked=("torch",))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 6
    assert 'pip install "edgerd[train]"' in err
    assert "Traceback" not in err


def test_a_gpu_that_is_not_there(train, parts):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    result = train(parts, "--device", "cuda")
    assert result.exit_code == 6
    assert "--device cpu" in result.err


def test_two_trainings_do_not_share_a_folder(train, edgerd, edgerd_process, parts, tmp_path):
    first = edgerd_process("train", parts, "-o", tmp_path / "run", *QUICK, *RD4AD, "--steps", 100_000)
    while "epoch 1" not in (line := first.stderr.readline()):
        assert line
    for options in ((), ("--resume",)):
        second = train(parts, *options, method=RD4AD)
        assert second.exit_code == 2
        assert f"{tmp_path / 'run'} is in use: process {first.pid}" in second.err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    assert not (tmp_path / "run" / ".lock").exists()
    assert train(parts, "--resume", method=RD4AD, steps=1).exit_code == 0


def test_after_an_error_there_is_no_new_folder(train, tmp_path):
    assert train(tmp_path / "nowhere", out=tmp_path / "a" / "run").exit_code == 2
    assert not (tmp_path / "a").exists()
