"""`edgerd doctor` on the GPU path: each part that is missing is named, with what to type."""

from __future__ import annotations

import sys

import pytest

from edgerd.cli import doctor_gpu
from edgerd.cli.doctor_gpu import Check, gpu_checks
from edgerd.cuda import driver as cuda_driver
from edgerd.cuda.properties import GpuProperties

ORIN = GpuProperties(name="Orin", capability=(8, 7), multiprocessors=8, memory_bytes=8 << 30, is_integrated=True)


def checks() -> dict[str, Check]:
    return {check.label: check for check in gpu_checks()}


def test_without_a_driver_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(cuda_driver, "LIBRARY", "libthere-is-none.so.1")
    check = checks()["gpu driver"]
    assert not check.ok
    assert "There is no CUDA driver" in check.text
    assert "Install the NVIDIA driver" in check.fix


@pytest.mark.parametrize("has_device_file", [False, True])
def test_a_machine_without_a_gpu_is_not_sent_to_install_a_driver(monkeypatch, tmp_path, has_device_file):
    monkeypatch.setattr(cuda_driver, "LIBRARY", "libthere-is-none.so.1")
    monkeypatch.setattr(cuda_driver, "_DEV", tmp_path)
    if has_device_file:
        (tmp_path / "nvidiactl").touch()
    assert checks()["gpu driver"].fix.startswith("nothing if there is no NVIDIA GPU") is not has_device_file


def test_a_device_file_that_may_not_be_opened_is_named(monkeypatch, tmp_path):
    node = tmp_path / "nvidia0"
    node.write_bytes(b"")
    monkeypatch.setattr(cuda_driver, "_DEV", tmp_path)
    assert checks()["gpu permissions"].ok
    monkeypatch.setattr(cuda_driver.os, "access", lambda *_: False)
    check = checks()["gpu permissions"]
    assert not check.ok
    assert str(node) in check.text
    assert "usermod -aG video,render" in check.fix


def test_where_there_are_no_device_files_permissions_are_not_spoken_of(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda_driver, "_DEV", tmp_path)
    assert "gpu permissions" not in checks()


def test_pycuda_that_is_missing_comes_with_what_its_compilation_needs(monkeypatch):
    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    check = checks()["pycuda"]
    assert not check.ok
    for word in ("edgerd[tensorrt]", "python3-dev", "/usr/local/cuda/bin"):
        assert word in check.fix


@pytest.mark.parametrize(
    ("reason", "text", "fix"),
    [
        (
            "libcuda.so.1: cannot open shared object file: No such file or directory",
            "installed, but libcuda is missing",
            "install the NVIDIA driver, see above",
        ),
        (
            "libcurand.so.10: cannot open shared object file: No such file or directory",
            "libcurand.so.10: cannot open shared object file: No such file or directory",
            "pip install",
        ),
    ],
)
def test_pycuda_that_is_there_and_does_not_load_is_not_said_to_be_missing(monkeypatch, tmp_path, reason, text, fix):
    package = tmp_path / "pycuda"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "driver.py").write_text(f"raise ImportError({reason!r})")
    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    check = checks()["pycuda"]
    assert not check.ok
    assert text in check.text
    assert fix in check.fix
    assert "build-essential" not in check.fix
    monkeypatch.delitem(sys.modules, "pycuda", raising=False)


@pytest.mark.parametrize(
    ("bindings", "library", "ok"),
    [
        ("10.3.0", "10.3.0", True),
        ("10.13.3.9", "10.13.3", True),
        ("10.3.0", "10.13.3", False),
        ("10.3.0", "", False),
    ],
)
def test_bindings_and_library_of_tensorrt_are_of_one_version(monkeypatch, bindings, library, ok):
    monkeypatch.setattr(doctor_gpu, "tensorrt_version", lambda: bindings)
    monkeypatch.setattr(doctor_gpu, "library_version", lambda _: library)
    check = checks()["libnvinfer"]
    assert check.ok is ok
    assert bindings in check.text
    assert ok or "python3-libnvinfer" in check.fix


def test_without_a_compiler_kernels_must_have_been_kept(monkeypatch, private_cache):
    monkeypatch.setattr(doctor_gpu, "found_compilers", lambda: ())
    check = checks()["kernel compiler"]
    assert not check.ok
    assert "cuda-nvcc" in check.fix
    monkeypatch.setattr(doctor_gpu, "gpu_properties", lambda: ORIN)
    kept = doctor_gpu.cubin_file(ORIN.capability)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cubin")
    check = checks()["kernel compiler"]
    assert check.ok
    assert str(kept) in check.text


def test_the_command_shows_them_and_a_cpu_is_enough(edgerd, monkeypatch):
    monkeypatch.setattr(cuda_driver, "LIBRARY", "libthere-is-none.so.1")
    monkeypatch.setenv("COLUMNS", "200")
    result = edgerd("doctor")
    assert result.exit_code == 0
    lines = {line.split("  ")[0]: line for line in result.out.splitlines()}
    for label in ("gpu driver", "pycuda", "kernel compiler"):
        assert label in lines
    assert ".;" not in result.out


def test_square_brackets_are_shown_as_they_are(edgerd, monkeypatch):
    monkeypatch.setattr("edgerd.cli.doctor.gpu_checks", lambda: [Check("a", False, "[/x] and [bold]", "p[q]")])
    monkeypatch.setenv("COLUMNS", "200")
    assert "[/x] and [bold]; next: p[q]" in edgerd("doctor").out


@pytest.mark.emulated
def test_over_the_emulated_gpu_all_is_well(emulation, monkeypatch, tmp_path):
    found = checks()
    assert [label for label, check in found.items() if not check.ok] == []
    assert "Emulated GPU (sm_87" in found["gpu driver"].text
    assert found["libnvinfer"].text.startswith(".".join(emulation.trt.__version__.split(".")[:3]))
    assert "compiled with CUDA" in found["pycuda"].text


@pytest.mark.emulated(once=True)
def test_a_driver_that_finds_no_gpu_is_no_driver(emulation):
    from emulation.driver import NO_DEVICE

    emulation.driver.fail("cuInit", NO_DEVICE, times=9)
    check = checks()["gpu driver"]
    assert not check.ok
    assert "finds no GPU" in check.text
