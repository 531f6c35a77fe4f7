"""Training by method edge: the same bits whatever interrupts it, and prototypes alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from edge_runs import (
    N_PICTURES,
    N_STUDENTS,
    STEPS,
    content_of,
    files_of,
    own_scores,
    scores_by_others,
    stop_after,
    trained,
)
from interrupts import PowerCutError, cut_off_at
from mini_teacher import pretrained

from edgerd.errors import StorageError, WeightsError
from edgerd.models.fusion import Fusion
from edgerd.training import tensor_file
from edgerd.training.checkpoint import Checkpoint, Progress
from edgerd.training.edge import train_edge
from edgerd.training.restore import networks_of
from edgerd.training.run import RunFolder


def test_every_step_of_every_student_is_told(new_edge_run):
    reports, said = [], []
    run = new_edge_run()
    assert trained(run, on_step=reports.append, say=said.append) == Progress(total_steps=STEPS)
    assert [report.progress.total_steps for report in reports] == list(range(1, N_STUDENTS * STEPS + 1))
    assert {(r.n_steps, r.steps_per_epoch, r.unit) for r in reports} == {(N_STUDENTS * STEPS, STEPS, "student")}
    assert [report.progress.epoch for report in reports] == sorted(list(range(N_STUDENTS)) * STEPS)
    assert all(0 <= report.loss <= 2 for report in reports)
    assert said[0] == "Reading the teacher's features of 24 pictures."
    assert "4 students" in said[2]


def test_nothing_is_left_behind_but_checkpoint(new_edge_run):
    run = new_edge_run()
    trained(run)
    assert files_of(run) == {"run.json", "train.npy", "holdout.npy", "checkpoint.safetensors"}


@pytest.mark.parametrize("method", ["edge", "prototypes"])
def test_the_same_seed_gives_the_same_bits_and_another_one_others(new_edge_run, method):
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = new_edge_run(name, seed=seed, method=method)
        torch.manual_seed(len(results))  # whatever was drawn before
        train_edge(run, pretrained(), device="cpu")
        results.append(content_of(run))
    assert results[0] == results[1]
    assert results[0][1] != results[2][1]


@pytest.mark.parametrize("n_steps", [1, STEPS, STEPS + 1, 2 * STEPS + 3, N_STUDENTS * STEPS - 1])
def test_stopped_and_resumed_is_as_if_never_stopped(new_edge_run, n_steps):
    run, whole = new_edge_run(), new_edge_run("whole")
    trained(whole)
    assert trained(run, **stop_after(n_steps)) == Progress()
    reports = []
    train_edge(RunFolder.open(run.path), pretrained(seed=1), device="cpu", on_step=reports.append)
    n_left = N_STUDENTS - n_steps // STEPS
    assert len(reports) == n_left * STEPS  # finished students are not trained again
    assert reports[0].progress.total_steps == (N_STUDENTS - n_left) * STEPS + 1
    assert content_of(run) == content_of(whole)
    assert files_of(run) == files_of(whole)


def test_a_stopped_run_is_prototypes_alone(new_edge_run):
    run, alone = new_edge_run(), new_edge_run("alone", method="prototypes", steps=None)
    trained(run, **stop_after(STEPS + 1))
    trained(alone)
    networks, progress = networks_of(run)
    assert progress == Progress()
    assert networks.student is None
    assert len(networks.fusion.weights) == 3
    assert content_of(run) == content_of(alone)


def test_cut_off_it_goes_on_after_the_last_student(new_edge_run):
    run, whole = new_edge_run(), new_edge_run("whole")
    trained(whole)

    with pytest.raises(PowerCutError):
        trained(run, on_step=cut_off_at(2 * STEPS + 1))
    reports = []
    trained(run, on_step=reports.append)
    assert len(reports) == 2 * STEPS
    assert content_of(run) == content_of(whole)


def test_a_run_that_is_done_has_nothing_left_to_do(new_edge_run):
    run = new_edge_run()
    trained(run)
    before = run.checkpoint_file.read_bytes()
    assert trained(run, on_step=pytest.fail, say=pytest.fail) == Progress(total_steps=STEPS)
    assert run.checkpoint_file.read_bytes() == before


def test_an_extended_run_is_as_if_planned_so_and_keeps_its_student_until_then(new_edge_run):
    run, whole = new_edge_run(), new_edge_run("whole", steps=6)
    trained(run)
    trained(whole)
    before = content_of(run)
    longer = run.extend(steps=6)
    assert trained(longer, **stop_after(7)) == Progress(total_steps=STEPS)
    assert content_of(longer) == before
    trained(longer)
    assert content_of(longer) == content_of(whole)


def test_prototypes_alone_take_no_step_and_look_at_each_picture_without_its_own(new_edge_run):
    run = new_edge_run(method="prototypes", steps=None)
    assert trained(run, on_step=pytest.fail) == Progress()
    networks, _ = networks_of(run)
    assert networks.student is None
    assert scores_by_others(run).folds == N_PICTURES
    assert len(scores_by_others(run).scores) == N_PICTURES
    assert (own_scores(run) <= np.array(scores_by_others(run).scores) + 1e-4).all()
    assert files_of(run) == {"run.json", "train.npy", "holdout.npy", "checkpoint.safetensors"}


def test_a_teacher_that_gives_nan_is_an_error_and_no_checkpoint_is_left(new_edge_run):
    run, teacher = new_edge_run(), pretrained()
    teacher.layer3[0].bn2.bias.data[0] = float("nan")
    with pytest.raises(WeightsError, match="features of pictures 1 to 8 are not finite"):
        train_edge(run, teacher, device="cpu")
    assert not run.checkpoint_file.exists()


def test_a_damaged_checkpoint_is_named_and_not_trained_over(new_edge_run):
    run = new_edge_run()
    run.checkpoint_file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        trained(run)
    assert run.checkpoint_file.read_bytes() == b"damaged"


@pytest.mark.parametrize("file", ["checkpoint", "all_pictures"])
def test_after_a_full_disk_it_goes_on(new_edge_run, monkeypatch, file):
    run, whole = new_edge_run(), new_edge_run("whole")
    really_save = tensor_file.save_file

    def full(tensors, part, metadata):
        if file in part.name:
            raise OSError(28, "No space left on device")
        really_save(tensors, part, metadata)

    with monkeypatch.context() as disk:
        disk.setattr(tensor_file, "save_file", full)
        with pytest.raises(StorageError, match="the disk is full") as caught:
            trained(run)
    assert "--resume" in caught.value.hint
    trained(run)
    trained(whole)
    assert content_of(run) == content_of(whole)


def test_the_checkpoint_of_another_run_is_refused(new_edge_run, new_run):
    run, other = new_edge_run(), new_edge_run("full", student="full")
    trained(other)
    run.checkpoint_file.write_bytes(other.checkpoint_file.read_bytes())
    with pytest.raises(WeightsError, match=r"holds another student than .*run\.json names"):
        networks_of(run)


def test_a_fusion_comes_back_to_the_bit(new_edge_run):
    run = new_edge_run(method="prototypes", steps=None)
    trained(run)
    fusion = Checkpoint.open(run.checkpoint_file).fusion
    assert isinstance(fusion, Fusion)
    assert replace(fusion, score_share=0.0) != fusion
    assert networks_of(run)[0].fusion == fusion


def test_prototypes_of_another_teacher_are_refused(new_edge_run):
    run = new_edge_run(method="prototypes", steps=None)
    trained(run)
    config = run.record.config.model_copy(update={"teacher": "lite0"})
    other = replace(run, record=run.record.model_copy(update={"config": config}))
    with pytest.raises(WeightsError, match="checkpoint"):
        networks_of(other)
