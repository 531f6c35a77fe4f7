"""`edgerd train`: what it shows, what it refuses, and that an interrupt costs nothing."""

from __future__ import annotations

import errno
import json
import re
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

LITE0_WEIGHTS = Path(__file__).parents[2] / "edgerd" / "models" / "weights" / "lite0.safetensors"
QUICK = ("--image-size", 32, "--batch-size", 8, "--threads", 1)


@pytest.fixture
def train(edgerd, tmp_path):
    """`edgerd train DATA -o run`, small and short."""

    def run(data, *options, out=tmp_path / "run", steps=2):
        return edgerd("train", data, "-o", out, *QUICK, "--steps", steps, *options)

    return run


def test_a_log_gets_a_line_per_epoch_with_loss_and_time_left(train, parts, tmp_path):
    result = train(parts, steps=10)
    assert result.exit_code == 0, result.err
    assert "32 pictures to train on, 8 held out" in result.out
    assert re.search(
        r"Trained: 2 epochs, 10 steps; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE", result.out
    )
    lines = [line for line in result.err.splitlines() if line]
    assert [re.sub(r"\d\.\d{4}  \d+:\d\d", "L  T", line) for line in lines] == [
        "epoch 1 of 3  step 4 of 10  loss L  T left",
        "epoch 2 of 3  step 8 of 10  loss L  T left",
        "epoch 3 of 3  step 10 of 10  loss L  T left",
    ]


def test_a_terminal_gets_a_bar(train, parts, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    result = train(parts)
    assert "epoch 1" in result.err
    assert "2/2" in result.err
    assert "step 2 of 2" not in result.err


def test_an_interrupted_run_goes_on_to_the_same_weights(train, edgerd_process, parts, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert train(parts, out=whole, steps=24).exit_code == 0
    process = edgerd_process("train", parts, "-o", halves, *QUICK, "--steps", 24)
    assert "epoch 1 of 6" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in out
    assert "Traceback" not in err
    n_steps = int(re.search(r"Stopped after \d+ epochs?, (\d+) steps", out)[1])
    assert 4 <= n_steps < 24

    resumed = train(parts, "--resume", out=halves, steps=24)  # the same command again
    assert resumed.exit_code == 0, resumed.err
    assert "Trained: 6 epochs, 24 steps" in resumed.out
    wanted, given = (load_file(run / "checkpoint.safetensors") for run in (whole, halves))
    assert wanted.keys() == given.keys()
    assert all(np.array_equal(wanted[name], given[name]) for name in wanted)


def test_the_command_to_go_on_can_be_pasted(edgerd, parts, tmp_path):
    data, out = shutil.copytree(parts, tmp_path / "gute Teile"), tmp_path / "Läufe" / "der erste"
    assert edgerd("train", data, "-o", out, *QUICK, "--steps", 1).exit_code == 0
    refused = edgerd("train", data, "-o", out, "--resume", "--seed", 5)
    assert f"edgerd train '{data}' -o '{out}' --resume" in refused.err


def test_resume_trains_longer_and_says_when_nothing_is_left(train, edgerd, parts, tmp_path):
    train(parts)
    assert "Nothing left to train: 0 epochs, 2 steps" in edgerd("train", parts, "-o", tmp_path / "run", "--resume").out
    longer = edgerd("train", parts, "-o", tmp_path / "run", "--resume", "--steps", 3)
    assert "3 steps" in longer.out


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


@pytest.fixture
def trained_copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "trained")


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


def test_a_folder_without_pictures(train, tmp_path):
    (tmp_path / "empty").mkdir()
    result = train(tmp_path / "empty")
    assert result.exit_code == 2
    assert "There are no pictures in" in result.err
    assert train(tmp_path / "nowhere").exit_code == 2


def test_one_picture(train, parts, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(parts / "train" / "good" / "000.png", folder)
    result = train(folder)
    assert result.exit_code == 2
    assert "only one picture" in result.err


def test_too_few_pictures_say_how_many_there_must_be(train, parts, tmp_path):
    folder = tmp_path / "ten"
    folder.mkdir()
    for index in range(10):
        shutil.copy(parts / "train" / "good" / f"{index:03d}.png", folder)
    result = train(folder)
    assert result.exit_code == 2
    assert "16 at least" in result.err
    assert not (tmp_path / "run").exists()


def test_pictures_of_every_kind_and_size_train_together(train, own_parts, tmp_path):
    good = own_parts / "train" / "good"
    colour = cv2.imread(str(good / "000.png"))
    cv2.imwrite(str(good / "000.png"), cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(good / "001.png"), cv2.imread(str(good / "001.png")).astype(np.uint16) * 257)
    cv2.imwrite(str(good / "002.png"), cv2.cvtColor(cv2.imread(str(good / "002.png")), cv2.COLOR_BGR2BGRA))
    cv2.imwrite(str(good / "003.png"), cv2.resize(cv2.imread(str(good / "003.png")), (150, 110)))
    cv2.imwrite(str(good / "004.jpg"), cv2.imread(str(good / "004.png")))
    result = train(good)
    assert result.exit_code == 0, result.err
    assert "33 pictures to train on, 8 held out" in result.out


def test_a_truncated_picture_is_named_left_out_and_counted(train, own_parts, tmp_path):
    broken = own_parts / "train" / "good" / "020.png"
    broken.write_bytes(broken.read_bytes()[:500])
    result = train(own_parts)
    assert result.exit_code == 0
    assert "31 pictures to train on, 8 held out for the threshold, 1 left out" in result.out
    assert f"left out {broken}: " in result.err
    assert list(json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]) == [str(broken)]
    assert train(own_parts, "--resume", steps=3).exit_code == 0


def test_strict_stops_at_a_truncated_picture(train, own_parts, tmp_path):
    broken = own_parts / "train" / "good" / "020.png"
    broken.write_bytes(broken.read_bytes()[:500])
    result = train(own_parts, "--strict")
    assert result.exit_code == 2
    assert str(broken) in result.err
    assert not (tmp_path / "run").exists()


def test_a_defect_among_the_good_pictures_is_named(train, own_parts):
    twin = own_parts / "train" / "good" / "zzz.png"
    shutil.copy(own_parts / "test" / "scratch" / "000.png", twin)
    result = train(own_parts)
    assert result.exit_code == 2
    assert f"{twin} is the same picture as" in result.err


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
        ("--holdout", 0.9, "too few"),
    ],
)
def test_settings_that_cannot_be_used(train, parts, tmp_path, option, value, shown):
    result = train(parts, option, value)
    assert result.exit_code == 2
    assert re.search(shown, result.err), result.err
    assert not (tmp_path / "run").exists()


def test_region_and_tiles_are_kept_in_the_run(train, parts, tmp_path):
    assert train(parts, "--region", "8,8,80,64", "--tiles", "1x2:0.1").exit_code == 0
    spec = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["preprocess"]
    assert spec["region"] == {"x": 8, "y": 8, "width": 80, "height": 64}
    assert spec["tiles"] == {"rows": 1, "columns": 2, "overlap": 0.1}


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

    monkeypatch.setattr("edgerd.training.run.np.save", full)
    result = train(parts)
    assert result.exit_code == 1
    assert "the disk is full" in result.err
    monkeypatch.undo()
    assert train(parts).exit_code == 0  # nothing is in the way


def test_a_full_disk_while_the_checkpoint_is_written(train, parts, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgerd.training.checkpoint.save_file", full)
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


def test_pictures_are_looked_for_before_weights_are_fetched(edgerd, tmp_path, monkeypatch):
    monkeypatch.setattr("edgerd.models.weights.load_teacher", lambda *args: pytest.fail("weights were fetched"))
    result = edgerd("train", tmp_path / "nowhere", "-o", tmp_path / "run", "--teacher", "resnet18")
    assert result.exit_code == 2
    assert "There is no folder" in result.err
