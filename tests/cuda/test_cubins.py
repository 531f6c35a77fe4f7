import pytest

from edgerd.cuda.kernels import cubins as module
from edgerd.cuda.kernels.cubins import cubin_file, cubins


@pytest.fixture
def compiled(monkeypatch, private_cache):
    """A list that gets an entry per call of the compiler."""
    calls = []

    def compile_cubins(source, architecture):
        for _ in range(2):
            calls.append(architecture)
            yield f"{architecture} {len(calls)}".encode()

    monkeypatch.setattr(module, "compile_cubins", compile_cubins)
    return calls


def first(capability=(8, 7)):
    return next(cubins(capability))


def test_it_is_compiled_once_per_architecture(compiled):
    assert first() == first() == b"sm_87 1"
    assert first((11, 0)) == b"sm_110 2"
    assert compiled == ["sm_87", "sm_110"]


def test_another_source_is_compiled_anew(compiled, monkeypatch):
    first()
    monkeypatch.setattr(module, "kernel_source", lambda: "// changed")
    assert first() == b"sm_87 2"


def test_one_that_was_refused_is_replaced_by_the_next_compilers(compiled):
    assert list(cubins((8, 7))) == [b"sm_87 1", b"sm_87 2"]
    assert list(cubins((8, 7))) == [b"sm_87 2", b"sm_87 3", b"sm_87 4"]


def test_nothing_half_written_is_left(compiled):
    first()
    assert [file.name for file in cubin_file((8, 7)).parent.iterdir()] == [cubin_file((8, 7)).name]


def test_a_cache_that_cannot_be_written_costs_time_only(compiled, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert first() == b"sm_87 1"
    assert first() == b"sm_87 2"
