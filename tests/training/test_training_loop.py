"""The training loop: repeatable to the bit, whatever interrupts it."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from interrupts import PowerCutError, cut_off_at, stop_at
from mini_teacher import pretrained
from safetensors.torch import load_file, save_file

from edgerd.errors import MissingDependencyError, WeightsError
from edgerd.training import checkpoint as checkpointing
from edgerd.training import tensor_file
from edgerd.training.checkpoint import Checkpoint, Progress
from edgerd.training.loop import batches, train
from edgerd.training.restore import networks_of

STEPS_PER_EPOCH = 3


def content_of(run):
    """Everything that a checkpoint says: progress, and the bytes of each tensor."""
    checkpoint = Checkpoint.open(run.checkpoint_file)
    tensors = {f"optimiser {n} {key}": t for n, state in checkpoint.optimiser.items() for key, t in state.items()}
    tensors |= {f"student {key}": t for key, t in checkpoint.student.items()}
    tensors |= {f"teacher {key}": t for key, t in checkpoint.teacher.items()}
    return checkpoint.progress, {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}


@pytest.fixture
def trained(new_run):
    """Train a run of its own to the end without an interrupt; gives what its checkpoint says."""

    def do(**settings):
        run = new_run("trained", **settings)
        train(run, pretrained(), device="cpu")
        return content_of(run)

    return do


def test_the_same_seed_gives_the_same_bits_and_another_one_others(new_run):
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = new_run(name, seed=seed, steps=4)
        torch.manual_seed(len(results))  # whatever was drawn before
        train(run, pretrained(), device="cpu")
        results.append(content_of(run))
    assert results[0] == results[1]
    assert results[0][1] != results[2][1]


@pytest.mark.parametrize("step", range(1, 8))
def test_stopped_and_resumed_is_as_if_never_stopped(new_run, trained, step):
    run = new_run(steps=8)
    progress = train(run, pretrained(), device="cpu", **stop_at(step))
    assert progress == Progress(*divmod(step, STEPS_PER_EPOCH), step)
    assert content_of(run)[0] == progress
    train(run, pretrained(seed=1), device="cpu")  # the teacher is the checkpoint's, whatever is given
    assert content_of(run) == trained(steps=8)


def test_stopped_after_every_single_step_too(new_run, trained):
    run = new_run(epochs=2)
    for step in range(1, 7):
        train(run, pretrained(), device="cpu", **stop_at(step))
    assert content_of(run) == trained(epochs=2)


@pytest.mark.parametrize("step", [1, 3, 4, 5])
def test_cut_off_in_an_epoch_it_goes_on_after_the_one_before(new_run, trained, step):
    run = new_run(epochs=2)

    with pytest.raises(PowerCutError):
        train(run, pretrained(), device="cpu", on_step=cut_off_at(step))
    n_done = Checkpoint.open(run.checkpoint_file).progress.total_steps if run.checkpoint_file.exists() else 0
    assert n_done == (step - 1) // STEPS_PER_EPOCH * STEPS_PER_EPOCH
    train(run, pretrained(), device="cpu")
    assert content_of(run) == trained(epochs=2)


class TestWear:
    """The teacher is written once, checkpoints rarely: flash memory wears out."""

    @pytest.fixture
    def written(self, monkeypatch):
        """The first part of each name in a file that is written; the teacher's own file begins with layer `bn1`."""
        found = []
        real = tensor_file.save_file

        def save(tensors, part, metadata):
            real(tensors, part, metadata)
            found.append(sorted({key.split(".")[0] for key in tensors} & {"student", "teacher", "optimiser", "bn1"}))

        monkeypatch.setattr(tensor_file, "save_file", save)
        return found

    def test_within_minutes_only_the_first_epoch_and_the_end_are_saved(self, new_run, trained, written):
        run = new_run(epochs=5)
        train(run, pretrained(), device="cpu")
        assert written == [["bn1"], ["optimiser", "student"], ["optimiser", "student", "teacher"]]
        assert not run.path.joinpath("teacher.safetensors").exists()
        assert content_of(run) == trained(epochs=5)

    def test_the_teacher_is_written_once_however_often_the_rest_is(self, new_run, written, monkeypatch):
        monkeypatch.setattr(checkpointing, "_SAVE_EVERY_S", 0.0)
        train(new_run(epochs=5), pretrained(), device="cpu")
        assert sum("bn1" in keys or "teacher" in keys for keys in written) == 2  # beside, and at the end
        assert len(written) == 6

    @pytest.mark.parametrize("every_s", [0.0, 1e9])
    @pytest.mark.parametrize("step", [4, 8, 11])
    def test_after_a_power_cut_it_goes_on_to_the_same_bits(self, new_run, trained, monkeypatch, every_s, step):
        monkeypatch.setattr(checkpointing, "_SAVE_EVERY_S", every_s)
        run = new_run(epochs=4)

        with pytest.raises(PowerCutError):
            train(run, pretrained(), device="cpu", on_step=cut_off_at(step))
        assert networks_of(run)[1].total_steps == (3 if every_s else (step - 1) // STEPS_PER_EPOCH * STEPS_PER_EPOCH)
        train(run, pretrained(seed=1), device="cpu")  # the teacher is the run's, whatever is given
        assert content_of(run) == trained(epochs=4)

    def test_another_teacher_beside_the_checkpoint_is_refused(self, new_run):
        run = new_run(epochs=4)

        with pytest.raises(PowerCutError):
            train(run, pretrained(), device="cpu", on_step=cut_off_at(4))
        file = run.path / "teacher.safetensors"
        tensors = load_file(file)
        save_file({key: value + 1 for key, value in tensors.items()}, file)
        with pytest.raises(WeightsError, match="not the teacher of checkpoint"):
            networks_of(run)
        file.unlink()
        with pytest.raises(WeightsError, match=r"teacher\.safetensors cannot be read"):
            networks_of(run)


@pytest.mark.parametrize(
    ("settings", "n_steps"), [({"epochs": 2}, 6), ({"steps": 4}, 4), ({"epochs": 2, "steps": 7}, 7), ({}, 600)]
)
def test_epochs_and_steps_are_honoured_and_every_step_is_reported(new_run, settings, n_steps):
    reports = []
    progress = train(
        new_run(**settings),
        pretrained(),
        device="cpu",
        on_step=reports.append,
        should_stop=lambda: len(reports) == 7,  # 200 epochs are too many for a test
    )
    assert progress.total_steps == min(n_steps, 7)
    assert [report.progress.total_steps for report in reports] == list(range(1, progress.total_steps + 1))
    assert {(report.n_steps, report.steps_per_epoch) for report in reports} == {(n_steps, STEPS_PER_EPOCH)}
    assert all(0 <= report.loss <= 6 for report in reports)


def test_a_run_that_is_done_has_nothing_left_to_do(new_run):
    run = new_run(steps=2)
    train(run, pretrained(), device="cpu")
    before = run.checkpoint_file.read_bytes()
    assert train(run, pretrained(), device="cpu", on_step=pytest.fail).total_steps == 2
    assert run.checkpoint_file.read_bytes() == before


def test_an_extended_run_is_as_if_planned_so(new_run, trained):
    run = new_run(epochs=1)
    train(run, pretrained(), device="cpu")
    train(run.extend(epochs=3), pretrained(), device="cpu")
    assert content_of(run) == trained(epochs=3)


def test_the_loss_falls(new_run):
    losses = []
    train(new_run(epochs=10), pretrained(), device="cpu", on_step=lambda report: losses.append(report.loss))
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_the_teacher_learns_nothing(new_run):
    teacher = pretrained()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    train(new_run(steps=4), teacher, device="cpu")
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not any(module.training for module in teacher.modules())


@pytest.mark.parametrize("after", [0, 4])
def test_a_teacher_that_gives_nan_stops_training_and_the_checkpoint_stays(new_run, after):
    run, teacher = new_run(epochs=2), pretrained()

    def spoil(report):
        if report.progress.total_steps == after:
            teacher.layer3[0].bn2.bias[0] = float("nan")

    if not after:
        teacher.layer3[0].bn2.bias[0] = float("nan")
    with pytest.raises(WeightsError, match=f"The loss became nan at step {after + 1}") as caught:
        train(run, teacher, device="cpu", on_step=spoil)
    assert "--seed" in caught.value.hint
    assert run.checkpoint_file.exists() == bool(after)
    if after:
        assert networks_of(run)[1] == Progress(1, 0, 3)


def test_its_networks_come_back_ready_to_use(new_run):
    run, teacher = new_run(steps=4), pretrained()
    train(run, teacher, device="cpu")
    networks, progress = networks_of(run)
    loaded, student = networks.teacher, networks.student
    assert progress == Progress(1, 1, 4)
    assert all(torch.equal(value, teacher.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert not any(module.training for module in (*loaded.modules(), *student.modules()))
    features = loaded(torch.zeros(1, 3, 64, 64))
    assert [f.shape for f in student(features)] == [f.shape for f in features]


def test_a_run_without_a_checkpoint_and_one_with_anothers_are_refused(new_run):
    run, other = new_run(steps=1), new_run("light", student="light", steps=1)
    with pytest.raises(WeightsError, match=r"run/checkpoint\.safetensors"):
        networks_of(run)
    train(other, pretrained(), device="cpu")
    run.checkpoint_file.write_bytes(other.checkpoint_file.read_bytes())
    for use in (lambda: networks_of(run), lambda: train(run, pretrained(), device="cpu")):
        with pytest.raises(WeightsError, match=r"holds another student than .*run\.json names"):
            use()


def test_a_damaged_checkpoint_is_named_and_not_trained_over(new_run):
    run = new_run(steps=1)
    run.checkpoint_file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        train(run, pretrained(), device="cpu")
    assert run.checkpoint_file.read_bytes() == b"damaged"


def test_torchs_settings_are_left_as_they_were(new_run):
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    seen = []
    train(
        new_run(steps=1),
        pretrained(),
        device="cpu",
        on_step=lambda _: seen.append(torch.are_deterministic_algorithms_enabled()),
    )
    assert seen == [True]
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == before


def test_cuda_that_is_not_there_says_what_to_do(new_run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDependencyError, match="no CUDA device") as caught:
        train(new_run(steps=1), pretrained(), device="cuda")
    assert "--device cpu" in caught.value.hint


@given(n=st.integers(1, 200), batch_size=st.integers(1, 40), seed=st.integers(0, 99), epoch=st.integers(0, 300))
def test_every_picture_is_in_one_batch_and_none_is_alone(n, batch_size, seed, epoch):
    epoch_batches = batches(n, batch_size, seed, epoch)
    assert sorted(np.concatenate(epoch_batches).tolist()) == list(range(n))
    sizes = [len(batch) for batch in epoch_batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] <= batch_size + (batch_size > 1)
    assert min(sizes) > 1 or min(n, batch_size) == 1
    again = batches(n, batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(epoch_batches, again, strict=True))


def test_every_epoch_has_another_order():
    orders = [np.concatenate(batches(50, 8, seed=0, epoch=epoch)).tolist() for epoch in range(5)]
    assert all(a != b for a, b in pairwise(orders))
