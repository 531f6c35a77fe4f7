"""Teacher weights: what may be in a file, and the errors for everything else."""

import contextlib
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from edgerd.errors import InputError, WeightsError
from edgerd.models import weights as module
from edgerd.models.teachers import make_teacher
from edgerd.models.teachers.teacher import Download
from edgerd.models.weights import load_teacher, read_weights, tensors_sha256

KIND = "resnet18"


@pytest.fixture
def state():
    """A state of the teacher that no file holds."""
    torch.manual_seed(3)
    return make_teacher(KIND).state_dict()


def assert_holds(teacher, state):
    assert all(torch.equal(value, state[key]) for key, value in teacher.state_dict().items())


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_file_fills_the_teacher(tmp_path, state, suffix):
    file = tmp_path / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    teacher = load_teacher(KIND, file)
    assert_holds(teacher, state)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_layer_4_and_classifier_are_passed_over_and_counters_may_be_missing(tmp_path, state):
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    extra = {
        "layer4.0.conv1.weight": torch.zeros(4, 4, 3, 3),
        "fc.weight": torch.zeros(10, 4),
        "fc.bias": torch.zeros(10),
    }
    torch.save(kept | extra, tmp_path / "whole.pth")
    assert_holds(load_teacher(KIND, tmp_path / "whole.pth"), state)


def test_half_precision_is_taken(tmp_path, state):
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(half, tmp_path / "half.safetensors")
    teacher = load_teacher(KIND, tmp_path / "half.safetensors")
    assert teacher.conv1.weight.dtype == torch.float32
    assert torch.equal(teacher.conv1.weight, half["conv1.weight"].float())


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_refused_and_not_run(tmp_path, state, monkeypatch, zipped):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    torch.save(state | {"conv1.weight": Evil()}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"evil\.pth.*Python objects.*never unpickled"):
        load_teacher(KIND, tmp_path / "evil.pth")
    assert not ran


@pytest.mark.parametrize("content", [{"state_dict": {"a": torch.zeros(1)}}, [torch.zeros(1)], torch.zeros(1)])
def test_something_else_than_a_dictionary_of_tensors_is_named(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth does not hold a dictionary of tensors") as caught:
        read_weights(tmp_path / "other.pth")
    assert "state_dict" in caught.value.hint


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(40), b"<html>Not found</html>"])
def test_a_file_that_is_no_weights(tmp_path, suffix, content):
    file = tmp_path / f"page{suffix}"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights") as caught:
        load_teacher(KIND, file)
    assert str(file) in caught.value.what


def test_a_missing_file_and_a_folder_are_no_weights(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(WeightsError, match="There is no file"):
            load_teacher(KIND, path)


TENSORS = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.zeros(2, dtype=torch.int64)}


def pth(tmp_path, *, zipped):
    file = tmp_path / "whole.pth"
    torch.save(TENSORS, file, _use_new_zipfile_serialization=zipped)
    return file.read_bytes()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@settings(max_examples=150, deadline=None)
@given(data=st.data(), form=st.sampled_from(["zipped", "legacy", "safetensors", "junk"]))
def test_whatever_is_in_a_file_nothing_but_weights_errors_comes_out(tmp_path_factory, data, form):
    folder = tmp_path_factory.mktemp("fuzz")
    if form == "junk":
        content = data.draw(st.binary(max_size=60))
    else:
        content = bytearray(save(TENSORS) if form == "safetensors" else pth(folder, zipped=form == "zipped"))
        for _ in range(data.draw(st.integers(0, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        content = content[: data.draw(st.integers(0, len(content)))]
    file = folder / ("w.safetensors" if form == "safetensors" else "w.pth")
    file.write_bytes(content)
    with contextlib.suppress(WeightsError):
        assert all(isinstance(value, torch.Tensor) for value in read_weights(file).values())


def test_another_architecture_is_named_by_its_keys(tmp_path):
    save_file(make_teacher("resnet18").state_dict(), tmp_path / "r18.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_teacher("resnet34", tmp_path / "r18.safetensors")
    assert "r18.safetensors does not fit the teacher resnet34" in caught.value.what
    assert "layer1.2.bn1.bias is missing" in caught.value.what
    assert "more" in caught.value.what
    assert "--teacher" in caught.value.hint


def test_another_width_is_named_by_shapes_both_ways(tmp_path, state):
    state["conv1.weight"] = torch.zeros(32, 3, 7, 7)
    save_file(state, tmp_path / "wide.safetensors")
    with pytest.raises(WeightsError, match=r"conv1\.weight is \(32, 3, 7, 7\), not \(64, 3, 7, 7\)\."):
        load_teacher(KIND, tmp_path / "wide.safetensors")


def test_a_key_that_is_not_known_is_named(tmp_path, state):
    save_file(state | {"head.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(WeightsError, match=r"head\.weight is not known"):
        load_teacher(KIND, tmp_path / "more.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused_and_named(tmp_path, state, value):
    state["layer2.0.bn1.running_var"][5] = value
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(
        WeightsError, match=r"nan\.safetensors has values that are not finite in layer2\.0\.bn1\.running_var"
    ):
        load_teacher(KIND, tmp_path / "nan.safetensors")


def test_the_hash_sees_values_names_types_and_shapes():
    hashes = {
        tensors_sha256(state)
        for state in (
            {"a": torch.zeros(4)},
            {"a": torch.tensor([0.0, 0.0, 0.0, 1.0])},
            {"b": torch.zeros(4)},
            {"a": torch.zeros(2, 2)},
            {"a": torch.zeros(4, dtype=torch.int32)},
            {"a": torch.zeros(2), "b": torch.zeros(2)},
        )
    }
    assert len(hashes) == 6


def test_the_hash_knows_neither_order_nor_layout():
    a, b = torch.rand(2, 3, 4, 4), torch.rand(3)
    transposed = a.contiguous(memory_format=torch.channels_last)
    assert tensors_sha256({"a": a, "b": b}) == tensors_sha256({"b": b, "a": transposed})


def test_weights_are_downloaded_into_the_cache_where_no_file_is_given(tmp_path, monkeypatch, state):
    save_file(state, tmp_path / "fetched.safetensors")
    asked = []

    def download(source, folder, progress):
        asked.append((source, folder, progress))
        return tmp_path / "fetched.safetensors"

    source = Download("https://example.invalid/fetched.safetensors", "00000000")
    teacher = make_teacher(KIND)
    teacher.info = type(teacher.info)(**{**vars(teacher.info), "download": source})
    monkeypatch.setattr(module, "make_teacher", lambda name: teacher)
    monkeypatch.setattr(module, "download", download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert_holds(load_teacher(KIND, progress=print), state)
    assert asked == [(source, tmp_path / "cache" / "edgerd", print)]


def test_an_unknown_teacher_shows_before_its_file_is_read(tmp_path):
    with pytest.raises(InputError, match="no teacher named"):
        load_teacher("resnet20", tmp_path / "none.pth")
