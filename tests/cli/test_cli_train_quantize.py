"""`edgerd train --resume --quantize`: from a trained run to one that is tuned for INT8, and what stands in its way."""

from __future__ import annotations

import re
import shutil

import pytest


@pytest.fixture
def run(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "run")


@pytest.fixture
def tune(edgerd, parts, run):
    """`edgerd train DATA -o run --resume --quantize`."""

    def do(*options):
        return edgerd("train", parts, "-o", run, "--resume", "--quantize", "--threads", 1, *options)

    return do


def test_a_trained_run_is_tuned_and_what_to_type_next_is_said(tune, run):
    result = tune("--steps", 2)
    assert result.exit_code == 0, result.err
    assert "Fine-tuning the student for INT8 on cpu" in result.out
    assert re.search(r"Tuned: 2 steps; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE, then", result.out)
    assert "edgerd build-engine BUNDLE --precision int8" in result.out
    assert "step 2 of 2" in result.err
    assert f"{run / 'tuned.safetensors'} is exported from now on" in result.out.replace("\n", " ")
    assert "Nothing left to tune: 2 steps. To tune longer, raise --steps" in tune().out
    assert "Tuned: 3 steps" in tune("--steps", 3).out


def test_training_on_says_that_the_fine_tune_is_gone(edgerd, parts, run):
    shutil.copy(run / "checkpoint.safetensors", run / "tuned.safetensors")
    result = edgerd("train", parts, "-o", run, "--resume", "--steps", 25, "--threads", 1)
    assert result.exit_code == 0, result.err
    assert "was removed" in result.err
    assert "--resume --quantize" in result.err
    assert not (run / "tuned.safetensors").exists()


def test_it_is_for_trained_students(edgerd, parts, tmp_path):
    result = edgerd("train", parts, "-o", tmp_path / "new", "--quantize")
    assert result.exit_code == 2
    command = f"edgerd train {parts} -o {tmp_path / 'new'}"
    assert f"Next: {command}, then the same command with --resume --quantize" in result.err
    assert not (tmp_path / "new").exists()


def test_a_run_without_a_checkpoint(tune, run):
    (run / "checkpoint.safetensors").unlink()
    result = tune()
    assert result.exit_code == 2
    assert "There is no checkpoint at" in result.err
    assert f"edgerd train DATA -o {run} --resume" in result.err


def test_it_is_counted_in_steps(tune):
    result = tune("--epochs", 2)
    assert result.exit_code == 2
    assert "--epochs 2 cannot be used with --quantize" in result.err
    assert "--resume --quantize --steps" in result.err


def test_a_folder_without_a_run(edgerd, parts, tmp_path):
    result = edgerd("train", parts, "-o", tmp_path / "none", "--resume", "--quantize")
    assert result.exit_code == 2
    assert "There is no run at" in result.err
