import pytest

from edgerd.cuda import driver as module
from edgerd.cuda.driver import Driver
from edgerd.errors import MissingDependencyError


def test_a_machine_without_a_driver_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "LIBRARY", "libcuda-that-nobody-has.so.1")
    with pytest.raises(MissingDependencyError, match="no CUDA driver") as caught:
        Driver()
    assert "JetPack" in caught.value.hint


def test_a_driver_without_a_function_that_is_needed_is_too_old(monkeypatch):
    monkeypatch.setattr(module, "LIBRARY", "libc.so.6")
    with pytest.raises(MissingDependencyError, match=r"too old: .*cuInit") as caught:
        Driver()
    assert caught.value.expected == "CUDA 11.4 or newer"
