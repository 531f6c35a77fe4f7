"""Students on stored features: the loss with hard mining, folds, and the same results from several processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from edgerd.errors import StorageError, WeightsError
from edgerd.models.networks import cosine_maps
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.training.loop import global_cosine_loss
from edgerd.training.stored_features import FeatureStore, compute_features
from edgerd.training.student_processes import run_jobs
from edgerd.training.students import StudentJob, mined_loss, run_job

CPU = torch.device("cpu")


def features_of(seed, n=3):
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, c, s, s, generator=random) for c, s in ((4, 8), (6, 4)))


@given(seed=st.integers(0, 999), share=st.floats(0, 1))
def test_mining_changes_the_gradient_and_not_the_loss(seed, share):
    teacher, student = features_of(seed), features_of(seed + 1)
    assert float(mined_loss(teacher, student, share)) == pytest.approx(
        float(global_cosine_loss(teacher, student)), abs=1e-5
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 999), share=st.floats(0.1, 0.9))
def test_positions_that_are_right_get_a_tenth_of_the_gradient(seed, share):
    teacher, student = features_of(seed)[:1], features_of(seed + 1)[:1]

    def gradient(easy_share):
        leaf = student[0].clone().requires_grad_()
        torch.autograd.backward(mined_loss(teacher, (leaf,), easy_share))
        return leaf.grad

    (distance,) = cosine_maps(teacher, student)
    n_easy = int(share * distance.numel())
    is_easy = distance <= distance.flatten().sort().values[n_easy - 1]
    assert int(is_easy.sum()) == n_easy
    expected = torch.where(is_easy[:, None], 0.1, 1.0) * gradient(0.0)
    np.testing.assert_allclose(gradient(share), expected, rtol=1e-4, atol=1e-8)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Features of 20 tiles of the built-in teacher's kind, 32 px, untrained: processes know no other small teacher."""
    torch.manual_seed(0)
    tiles = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    folder = tmp_path_factory.mktemp("stored") / "features"
    compute_features(make_teacher("lite0"), tiles, folder)
    return folder


@pytest.fixture
def job(stored, tmp_path):
    return StudentJob(
        name="fold 1 of 4",
        teacher="lite0",
        student="light",
        finest=2,
        features=stored,
        rows=np.arange(5, 20),
        map_rows=np.arange(5),
        steps=3,
        batch_size=4,
        seed=0,
        file=tmp_path / "fold.safetensors",
    )


def test_a_job_leaves_its_student_and_what_that_saw(job, stored):
    losses = []
    assert run_job(job, CPU, losses.append)
    assert len(losses) == 3
    assert all(0 <= loss <= 2 for loss in losses)
    content = load_file(job.file)
    student = make_student(make_teacher("lite0").info, "light", 2).eval()
    student.load_state_dict({k.removeprefix("student."): v for k, v in content.items() if k.startswith("student.")})
    features = FeatureStore.open(stored)[job.map_rows]
    with torch.no_grad():
        (expected,) = cosine_maps(features[2:], student(features))
    np.testing.assert_allclose(content["map.0"], expected, rtol=0, atol=1e-5)
    assert content["map.0"].shape == (5, 2, 2)


def test_the_student_that_is_kept_makes_no_maps(job):
    run_job(replace(job, map_rows=job.rows[:0]), CPU)
    assert not any(key.startswith("map.") for key in load_file(job.file))


def test_the_same_job_gives_the_same_bytes_and_another_seed_others(job, tmp_path):
    jobs = [replace(job, seed=seed, file=tmp_path / f"{index}") for index, seed in enumerate((0, 0, 1))]
    for index, one in enumerate(jobs):
        torch.manual_seed(index)  # whatever was drawn before
        run_job(one, CPU)
    first, second, third = (one.file.read_bytes() for one in jobs)
    assert first == second != third


def test_only_its_rows_are_trained_on(job, stored, tmp_path):
    """The tiles it only makes maps of are changed in a copy of the store: the student is the same."""
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for file in stored.iterdir():
        values = np.load(file)
        values[job.map_rows] = 7.0
        np.save(spoilt / file.name, values)
    run_job(job, CPU)
    run_job(replace(job, features=spoilt, file=tmp_path / "other"), CPU)
    one, two = load_file(job.file), load_file(tmp_path / "other")
    assert all(torch.equal(one[key], two[key]) for key in one if key.startswith("student."))
    assert not torch.equal(one["map.0"], two["map.0"])


def test_it_learns(job):
    losses = []
    run_job(replace(job, steps=40), CPU, losses.append)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


def test_a_batch_larger_than_the_fold_will_do(job):
    assert run_job(replace(job, batch_size=64), CPU)


def test_one_that_is_stopped_leaves_nothing(job):
    losses = []
    assert not run_job(job, CPU, losses.append, lambda: len(losses) == 2)
    assert len(losses) == 2
    assert not list(job.file.parent.iterdir())


def test_features_that_are_nan_name_student_and_step(job, tmp_path):
    spoilt = with_nan(job, tmp_path)
    with pytest.raises(WeightsError, match="The loss became nan at step 1 of fold 1 of 4") as caught:
        run_job(spoilt, CPU)
    assert "--seed" in caught.value.hint


def with_nan(job, folder):
    spoilt = folder / "nan"
    spoilt.mkdir()
    for file in job.features.iterdir():
        np.save(spoilt / file.name, np.full_like(np.load(file), np.nan))
    return replace(job, features=spoilt)


def test_a_full_disk_is_an_error_with_what_to_do(job, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgerd.training.tensor_file.save_file", full)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        run_job(job, CPU)
    assert "--resume" in caught.value.hint
    assert not list(job.file.parent.iterdir())


def test_two_processes_give_the_bytes_of_one_and_tell_every_step(job, tmp_path):
    told = {1: [], 2: []}
    for n, steps in told.items():
        jobs = [replace(job, name=f"{k}", seed=k, file=tmp_path / f"{n} {k}.safetensors") for k in range(3)]
        assert run_jobs(jobs, n, CPU, lambda name, loss, steps=steps: steps.append((name, loss)))
    for k in range(3):
        assert (tmp_path / f"1 {k}.safetensors").read_bytes() == (tmp_path / f"2 {k}.safetensors").read_bytes()
    assert sorted(told[1]) == sorted(told[2])
    assert len(told[1]) == 9


def test_an_error_in_a_process_is_the_error_here(job, tmp_path):
    spoilt = with_nan(job, tmp_path)
    jobs = [replace(spoilt, name=name) for name in ("a", "b")]
    with pytest.raises(WeightsError, match=r"The loss became nan at step 1 of [ab]") as caught:
        run_jobs(jobs, 2, CPU)
    assert caught.value.expected == "a finite loss"
    assert "--seed" in caught.value.hint


def test_processes_stop_when_they_are_asked_to(job, tmp_path):
    jobs = [replace(job, name=f"{k}", steps=10_000, file=tmp_path / f"{k}.safetensors") for k in range(2)]
    told = []
    assert not run_jobs(jobs, 2, CPU, lambda *step: told.append(step), lambda: bool(told))
    assert not list(tmp_path.glob("*.safetensors"))
