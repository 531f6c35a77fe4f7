"""`edgerd train`: what it shows, what it refuses, and that an interrupt costs nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

LITE0_WEIGHTS = Path(__file__).parents[2] / "edgerd" / "models" / "weights" / "lite0.safetensors"
QUICK = ("--image-size", 32, "--batch-size", 8, "--threads", 1)
EDGE, RD4AD = ("--cross-fit", 2), ("--method", "rd4ad")


@pytest.fixture
def train(edgerd, tmp_path):
    """`edgerd train DATA -o run`, small and short: a student that is kept and one for each of two folds."""

    def run(data, *options, method=EDGE, out=tmp_path / "run", steps=2):
        return edgerd("train", data, "-o", out, *QUICK, *method, *(("--steps", steps) if steps else ()), *options)

    return run


def lines_of(text):
    return [re.sub(r"\d\.\d{4}  \d+:\d\d", "L  T", line) for line in text.splitlines() if line]


def test_a_log_gets_a_line_per_student_with_loss_and_time_left(train, parts, tmp_path):
    result = train(parts, steps=10)
    assert result.exit_code == 0, result.err
    assert "40 pictures of good parts; all are trained on, and all count for the threshold." in result.out
    assert "Choosing 1000 prototypes for each of 2 maps." in result.out
    assert re.search(r"Trained: 10 steps; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE", result.out)
    assert lines_of(result.err)[1:] == [
        "student 1 of 3  step 10 of 30  loss L  T left",
        "student 2 of 3  step 20 of 30  loss L  T left",
        "student 3 of 3  step 30 of 30  loss L  T left",
    ]


@pytest.mark.parametrize(("n", "is_warned"), [(40, True), (98, True), (99, False)])
def test_fewer_pictures_than_settle_the_usual_rate_are_said_to_be_few(train, parts, tmp_path, n, is_warned):
    for index in range(n):
        picture = cv2.imread(str(parts / "train" / "good" / f"{index % 40:03d}.png"))
        picture[0, 0] = index
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    result = train(tmp_path, "--method", "prototypes", method=(), steps=None)
    assert result.exit_code == 0, result.err
    warning = f"{n} pictures cannot settle a false-alarm rate of 1 %: that takes 99"
    assert (warning in result.err.replace("\n", " ")) is is_warned


def test_a_log_of_the_papers_method_gets_a_line_per_epoch(train, parts, tmp_path):
    result = train(parts, method=RD4AD, steps=10)
    assert result.exit_code == 0, result.err
    assert "32 pictures to train on, 8 held out" in result.out
    assert re.search(
        r"Trained: 2 epochs, 10 steps; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE", result.out
    )
    assert lines_of(result.err) == [
        "epoch 1 of 3  step 4 of 10  loss L  T left",
        "epoch 2 of 3  step 8 of 10  loss L  T left",
        "epoch 3 of 3  step 10 of 10  loss L  T left",
    ]


def test_a_terminal_gets_a_bar(train, parts, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    result = train(parts)
    assert "student 3" in result.err  # a fast machine draws nothing before the last
    assert "6/6" in result.err
    assert "step 2 of 6" not in result.err


@pytest.mark.parametrize(
    ("method", "steps", "first", "n_done"),
    [
        (RD4AD, 24, "epoch 1 of 6", r"Stopped after \d+ epochs?, (\d+) steps"),
        (EDGE, 60, "student 1 of 3", r"Stopped; students that are done are kept"),
    ],
    ids=["rd4ad", "edge"],
)
def test_an_interrupted_run_goes_on_to_the_same_weights(
    train, edgerd, edgerd_process, parts, tmp_path, method, steps, first, n_done
):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert train(parts, method=method, out=whole, steps=steps).exit_code == 0
    process = edgerd_process("train", parts, "-o", halves, *QUICK, *method, "--steps", steps)
    while first not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in out
    assert "Traceback" not in err
    stopped = re.search(n_done, out)
    assert all(4 <= int(n) < steps for n in stopped.groups())

    resumed = edgerd("train", parts, "-o", halves, "--resume", "--threads", 1)  # it knows its method and its steps
    assert resumed.exit_code == 0, resumed.err
    assert f"{steps} steps; last loss" in resumed.out
    wanted, given = (load_file(run / "checkpoint.safetensors") for run in (whole, halves))
    assert wanted.keys() == given.keys()
    assert all(np.array_equal(wanted[name], given[name]) for name in wanted)


def test_what_was_stopped_before_its_students_were_done_is_prototypes_alone(edgerd, edgerd_process, parts, tmp_path):
    process = edgerd_process("train", parts, "-o", tmp_path / "run", *QUICK, *EDGE, "--steps", 1000)
    while "Training 3 students" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    exported = edgerd("export", tmp_path / "run", "-o", tmp_path / "bundle")
    assert exported.exit_code == 0, exported.err
    assert "stopped before its students were done: this bundle has prototypes alone" in exported.out
    assert edgerd("inspect", tmp_path / "bundle", parts / "test" / "good" / "000.png").exit_code == 0


def test_ctrl_c_in_a_terminal_reaches_all_processes_and_one_answers(parts, tmp_path):
    """A terminal sends it to every process of the group, also to those that have only just begun."""
    command = [sys.executable, "-c", "from edgerd.cli.main import main; main()", "train", parts, "-o", tmp_path / "run"]
    options = ["--image-size", 32, "--threads", 2, *EDGE, "--steps", 5000]
    process = subprocess.Popen(
        [str(word) for word in (*command, *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while "Training 3 students" not in (line := process.stdout.readline()):
            assert line
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in out
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


def test_the_command_to_go_on_can_be_pasted(edgerd, parts, tmp_path):
    data, out = shutil.copytree(parts, tmp_path / "gute Teile"), tmp_path / "Läufe" / "der erste"
    assert edgerd("train", data, "-o", out, *QUICK, *EDGE, "--steps", 1).exit_code == 0
    refused = edgerd("train", data, "-o", out, "--resume", "--seed", 5)
    assert f"edgerd train '{data}' -o '{out}' --resume" in refused.err


@pytest.mark.parametrize(
    ("method", "done"),
    [
        (EDGE, "Nothing left to train: 2 steps. To train longer, raise --steps."),
        (RD4AD, "Nothing left to train: 0 epochs, 2 steps. To train longer, raise --steps or --epochs."),
    ],
    ids=["edge", "rd4ad"],
)
def test_resume_trains_longer_and_says_when_nothing_is_left(train, edgerd, parts, tmp_path, method, done):
    train(parts, method=method)
    assert done in edgerd("train", parts, "-o", tmp_path / "run", "--resume").out
    longer = edgerd("train", parts, "-o", tmp_path / "run", "--resume", "--steps", 3, "--threads", 1)
    assert "3 steps" in longer.out


def test_resume_goes_on_with_the_runs_own_method(edgerd, trained_copy, parts):
    before = load_file(trained_copy / "checkpoint.safetensors")
    result = edgerd("train", parts, "-o", trained_copy, "--resume", "--epochs", 5, "--steps", 25, "--threads", 1)
    assert result.exit_code == 0, result.err
    assert "25 steps" in result.out
    assert load_file(trained_copy / "checkpoint.safetensors").keys() == before.keys()
    other = edgerd("train", parts, "-o", trained_copy, "--resume", "--method", "edge")
    assert other.exit_code == 2
    assert re.search("--method edge cannot be used: .* was started with rd4ad", other.err)


def test_prototypes_alone_are_chosen_exported_and_shown(train, edgerd, parts, tmp_path):
    result = train(parts, "--method", "prototypes", method=(), steps=None)
    assert result.exit_code == 0, result.err
    assert f"Done. Next: edgerd export {tmp_path / 'run'} -o BUNDLE" in result.out
    exported = edgerd("export", tmp_path / "run", "-o", tmp_path / "bundle")
    assert exported.exit_code == 0, exported.err
    shown = edgerd("show", tmp_path / "bundle")
    assert "lite0, 2000 prototypes" in shown.out
    assert "prototypes, seed 0" in shown.out
    assert edgerd("inspect", tmp_path / "bundle", parts / "test" / "good" / "000.png").exit_code == 0


def test_a_defect_among_the_good_pictures_that_was_missed_is_named(train, own_parts):
    spoilt = own_parts / "train" / "good" / "020.png"
    picture = cv2.imread(str(own_parts / "test" / "missing_hole" / "000.png"))
    picture[0, 0] += 1  # not the same picture
    cv2.imwrite(str(spoilt), picture)
    result = train(own_parts, "--method", "prototypes", "--image-size", 64, method=(), steps=None)
    assert result.exit_code == 0, result.err
    assert re.search(rf"{spoilt} scores \d\.\d\d, far above the others", result.err.replace("\n", " "))


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
    result = train(folder, method=RD4AD)
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
    assert "41 pictures of good parts" in result.out


def test_a_truncated_picture_is_named_left_out_and_counted(train, own_parts, tmp_path):
    broken = own_parts / "train" / "good" / "020.png"
    broken.write_bytes(broken.read_bytes()[:500])
    result = train(own_parts)
    assert result.exit_code == 0
    assert "39 pictures of good parts, 1 left out (--strict stops at the first); all are trained on" in result.out
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


def test_pictures_are_looked_for_before_weights_are_fetched(edgerd, tmp_path, monkeypatch):
    monkeypatch.setattr("edgerd.models.weights.load_teacher", lambda *args: pytest.fail("weights were fetched"))
    result = edgerd("train", tmp_path / "nowhere", "-o", tmp_path / "run", "--teacher", "resnet18")
    assert result.exit_code == 2
    assert "There is no folder" in result.err


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


def test_what_is_not_used_is_named_once(train, own_parts):
    deeper = own_parts / "train" / "good" / "monday"
    deeper.mkdir()
    shutil.move(own_parts / "train" / "good" / "000.png", deeper)
    (own_parts / "train" / "good" / "001.png").unlink()
    (own_parts / "train" / "good" / "001.png").symlink_to("/nas/001.png")
    result = train(own_parts)
    assert result.exit_code == 0, result.err
    assert result.err.count(f"1 picture in {deeper}: not used") == 1
    assert "001.png cannot be read: No such file" in result.err
    assert "38 pictures of good parts, 1 left out" in result.out
    assert train(own_parts, "--strict", out=own_parts / "strict").exit_code == 2


def test_after_an_error_there_is_no_new_folder(train, tmp_path):
    assert train(tmp_path / "nowhere", out=tmp_path / "a" / "run").exit_code == 2
    assert not (tmp_path / "a").exists()
