"""Timings that are kept for the next build."""

from types import SimpleNamespace

import pytest

from edgerd.errors import InputError, StorageError

pytestmark = pytest.mark.emulated


@pytest.fixture
def n_timed(graph, monkeypatch):
    """How many layers a build has to time: the emulated builder sleeps for each."""
    from emulation import builder

    def build(runtime):
        slept = []
        with monkeypatch.context() as patch:
            patch.setattr(builder, "time", SimpleNamespace(sleep=slept.append))
            runtime.build(graph, "fp32")
        return len(slept)

    return build


def test_timings_save_the_next_build_time(tensorrt, n_timed, emulation, tensorrt_cache):
    assert n_timed(tensorrt()) > 10
    assert n_timed(tensorrt(opt_level=4)) == 0
    (file,) = tensorrt_cache.glob("*.timing")
    assert emulation.trt.__version__ in file.name


def test_a_named_timing_file(tensorrt, n_timed, tmp_path):
    file = tmp_path / "shared" / "timings"
    assert n_timed(tensorrt(timing_cache=file)) > 10
    assert file.stat().st_size
    assert n_timed(tensorrt(timing_cache=file, opt_level=4)) == 0
    assert n_timed(tensorrt(opt_level=3, strip=True)) > 10


def test_timings_that_are_damaged_are_made_again(tensorrt, graph, said, tensorrt_cache):
    tensorrt().build(graph, "fp32")
    (file,) = tensorrt_cache.glob("*.timing")
    file.write_bytes(b"junk")
    tensorrt(opt_level=1).build(graph, "fp32")
    assert f"{file} is damaged, or of another GPU or TensorRT; kernels are timed again." in said
    assert file.stat().st_size > 10


@pytest.mark.parametrize("content", ["a picture", "another device's"])
def test_a_named_file_that_holds_something_else_is_left_as_it_is(tensorrt, graph, emulation, tmp_path, content):
    file = tmp_path / "timings"
    if content == "a picture":
        file.write_bytes(b"of great worth")
    else:
        tensorrt(timing_cache=file).build(graph, "fp32")
        emulation.driver.set_device("Another", sm=(9, 0))
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"holds no timings of this GPU(.|\n)*--timing-cache"):
        tensorrt(timing_cache=file, opt_level=1).build(graph, "fp32")
    assert file.read_bytes() == before


def test_a_named_timing_file_that_cannot_be_written_is_refused_before_the_build(tensorrt, graph, tmp_path, emulation):
    (tmp_path / "file").write_text("")
    emulation.driver.clear()
    with pytest.raises(StorageError, match=r"could not be written(.|\n)*--timing-cache"):
        tensorrt(timing_cache=tmp_path / "file" / "timings").build(graph, "fp32")
    assert not emulation.driver.counts(device=True)["engine"]


def test_a_named_timing_file_that_cannot_be_read_is_left_as_it_is(tensorrt, graph, tmp_path, emulation, monkeypatch):
    from pathlib import Path

    file, read = tmp_path / "timings", Path.read_bytes
    file.write_bytes(b"of a whole fleet")

    def refuse(path):
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match=r"timings could not be read: Permission denied(.|\n)*--timing-cache"):
        tensorrt(timing_cache=file).build(graph, "fp32")
    assert read(file) == b"of a whole fleet"
