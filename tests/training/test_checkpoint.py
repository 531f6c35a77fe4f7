"""A checkpoint: the same bits back, or an error; and the old one stays when the new one cannot be written."""

import resource
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from edgerd.errors import StorageError, WeightsError
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.training.checkpoint import Checkpoint, Progress, save_checkpoint
from edgerd.training.loop import rd4ad_optimiser

PROGRESS = Progress(epoch=3, step=2, total_steps=11)


@pytest.fixture
def saved(tmp_path):
    """Networks after a step, and the arguments they were saved with."""
    torch.manual_seed(0)
    teacher = make_teacher("mini")
    student = make_student(teacher.info)
    optimiser = rd4ad_optimiser(student.parameters())
    sum(output.square().mean() for output in student(teacher(torch.randn(2, 3, 64, 64)))).backward()
    optimiser.step()
    content = (PROGRESS, student.state_dict(), teacher.state_dict(), optimiser)
    save_checkpoint(tmp_path / "checkpoint.safetensors", *content)
    return tmp_path / "checkpoint.safetensors", content


def assert_same(left, right):
    assert left.keys() == right.keys()
    for key, value in left.items():
        if isinstance(value, dict):
            assert_same(value, right[key])
        else:
            assert value.dtype == right[key].dtype
            assert torch.equal(value, right[key])


def test_it_comes_back_bit_by_bit(saved):
    file, (progress, student, teacher, optimiser) = saved
    checkpoint = Checkpoint.open(file)
    assert checkpoint.progress == progress
    assert_same(checkpoint.student, student)
    assert_same(checkpoint.teacher, teacher)
    assert_same(checkpoint.optimiser, optimiser.state_dict()["state"])


def test_it_is_one_safetensors_file_that_others_can_read(saved):
    file, (_, student, _, _) = saved
    assert list(file.parent.iterdir()) == [file]
    tensors = load_file(file)
    assert torch.equal(tensors["student.decoder.stage1.0.conv1.weight"], student["decoder.stage1.0.conv1.weight"])
    assert {key.split(".")[0] for key in tensors} == {"student", "teacher", "optimiser"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_is_noticed_wherever_it_is(saved, data):
    whole = saved[0].read_bytes()
    n_header = 8 + int.from_bytes(whole[:8], "little")
    place = data.draw(st.one_of(st.integers(0, n_header - 1), st.integers(0, len(whole) - 1)))
    damaged = bytearray(whole)
    damaged[place] ^= data.draw(st.integers(1, 255))
    file = saved[0].with_name("damaged.safetensors")
    file.write_bytes(damaged)
    try:
        checkpoint = Checkpoint.open(file)
    except WeightsError:
        return
    assert place < n_header  # a space between two JSON tokens is nobody's loss
    assert_same(checkpoint.student, Checkpoint.open(saved[0]).student)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(saved, part):
    file, _ = saved
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        Checkpoint.open(file)


def test_a_missing_file_and_another_safetensors_file_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        Checkpoint.open(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match="is no checkpoint"):
        Checkpoint.open(tmp_path / "other.safetensors")


@pytest.mark.parametrize("where", ["student", "teacher", "optimiser"])
def test_values_that_are_not_finite_are_refused(saved, where):
    file, (progress, student, teacher, optimiser) = saved
    key, tensor = {
        "student": ("student.bottleneck.down2.0.weight", student["bottleneck.down2.0.weight"]),
        "teacher": ("teacher.conv1.weight", teacher["conv1.weight"]),
        "optimiser": ("optimiser.0.exp_avg", optimiser.state_dict()["state"][0]["exp_avg"]),
    }[where]
    tensor.view(-1)[0] = float("nan")
    save_checkpoint(file, progress, student, teacher, optimiser)
    with pytest.raises(WeightsError, match=f"not finite in {key}"):
        Checkpoint.open(file)


def test_a_disk_that_is_full_leaves_the_old_checkpoint_alone(saved):
    """The limit on the size of a file stands for the disk: the write fails in its middle, in the operating system."""
    file, (progress, *networks) = saved
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(
            StorageError, match=r"checkpoint\.safetensors could not be written: File too large"
        ) as caught:
            save_checkpoint(file, replace(progress, epoch=4), *networks)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "--resume" in caught.value.hint
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_that_is_gone_is_named(saved, tmp_path):
    _, content = saved
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/checkpoint"):
        save_checkpoint(tmp_path / "file" / "checkpoint.safetensors", *content)
