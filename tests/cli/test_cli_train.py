"""`edgerd train`: what it shows, how it goes on, and that an interrupt costs nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from train_parts import EDGE, QUICK, RD4AD


def lines_of(text):
    return [re.sub(r"\d\.\d{4}  \d+:\d\d", "L  T", line) for line in text.splitlines() if line]


def test_a_log_gets_a_line_per_student_with_loss_and_time_left(train, parts, tmp_path):
    result = train(parts, steps=10)
    assert result.exit_code == 0, result.err
    assert "40 pictures of good parts; all are trained on, and all count for the threshold." in result.out
    assert "Choosing 1000 prototypes for each of 2 maps." in result.out
    assert re.search(
        r"Trained: 3 students, 10 steps each; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE", result.out
    )
    assert lines_of(result.err)[1:] == [
        "student 1 of 3  step 10 of 30  loss L  T left",
        "student 2 of 3  step 20 of 30  loss L  T left",
        "student 3 of 3  step 30 of 30  loss L  T left",
    ]


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


def test_a_terminal_gets_a_bar(on_terminal, parts):
    shown, exit_code = on_terminal("train", parts, "-o", "run", *QUICK, *EDGE, "--steps", 2)
    assert exit_code == 0
    assert "student 3" in shown  # a fast machine draws nothing before the last
    assert "6 of 6 steps" in shown
    assert "step 2 of 6" not in shown


def test_colours_that_are_forced_make_no_terminal_of_a_log(train, parts, monkeypatch):
    """Servers of continuous integration set FORCE_COLOR; what moves the cursor would fill their logs."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = train(parts)
    assert "student 3 of 3  step 6 of 6" in result.err
    assert "\x1b[" not in result.err


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
    each = " each" if method is EDGE else ""
    assert f"{steps} steps{each}; last loss" in resumed.out
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
        (EDGE, "Nothing left to train: 3 students, 2 steps each. To train longer, raise --steps."),
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


def test_region_and_tiles_are_kept_in_the_run(train, parts, tmp_path):
    assert train(parts, "--region", "8,8,80,64", "--tiles", "1x2:0.1").exit_code == 0
    spec = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["preprocess"]
    assert spec["region"] == {"x": 8, "y": 8, "width": 80, "height": 64}
    assert spec["tiles"] == {"rows": 1, "columns": 2, "overlap": 0.1}
