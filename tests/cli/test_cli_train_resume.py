"""`edgerd train --resume`: an interrupt costs nothing, and no run goes on as another."""

from __future__ import annotations

import errno
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
from train_options import EDGE, QUICK, RD4AD


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
