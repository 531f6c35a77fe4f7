import pytest

from edgerd.cuda.kernels import cubins
from edgerd.cuda.kernels.cubins import cubin, cubin_file


@pytest.fixture
def compiled(monkeypatch, private_cache):
    """What was compiled: one entry per call."""
    calls = []

    def compile_cubin(source, architecture):
        calls.append(architecture)
        return f"{architecture} {len(calls)}".encode()

    monkeypatch.setattr(cubins, "compile_cubin", compile_cubin)
    return calls


def test_it_is_compiled_once_per_architecture(compiled):
    assert cubin((8, 7)) == cubin((8, 7)) == b"sm_87 1"
    assert cubin((11, 0)) == b"sm_110 2"
    assert compiled == ["sm_87", "sm_110"]


def test_another_source_is_compiled_anew(compiled, monkeypatch):
    cubin((8, 7))
    monkeypatch.setattr(cubins, "kernel_source", lambda: "// changed")
    assert cubin((8, 7)) == b"sm_87 2"


def test_a_damaged_one_is_replaced(compiled):
    cubin((8, 7))
    assert cubin((8, 7), fresh=True) == b"sm_87 2"
    assert cubin((8, 7)) == b"sm_87 2"


def test_nothing_half_written_is_left(compiled):
    cubin((8, 7))
    assert [file.name for file in cubin_file((8, 7)).parent.iterdir()] == [cubin_file((8, 7)).name]


def test_a_cache_that_cannot_be_written_costs_time_only(compiled, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cubin((8, 7)) == b"sm_87 1"
    assert cubin((8, 7)) == b"sm_87 2"
