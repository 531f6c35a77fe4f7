"""The device that training computes on, and torch's settings, which are restored afterwards."""

import pytest
import torch

from edgerd.errors import MissingDependencyError
from edgerd.training.device import default_threads, deterministic, torch_device


@pytest.mark.parametrize(
    ("name", "has_cuda", "expected"), [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu")]
)
def test_auto_takes_cuda_where_it_is(monkeypatch, name, has_cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert torch_device(name) == torch.device(expected)


def test_cuda_that_is_not_there_is_no_silent_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDependencyError, match="no CUDA device") as caught:
        torch_device("cuda")
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 3), (16, 16)])
def test_two_shared_cores_get_one_thread(cores, threads):
    assert default_threads(cores) == threads


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,
    )


@pytest.mark.parametrize("benchmark", [True, False])
def test_torchs_settings_come_back_even_after_an_error(monkeypatch, benchmark):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", benchmark)
    before = settings()

    @deterministic()
    def fail():
        assert settings()[:3] == (True, True, False)
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert settings() == before
