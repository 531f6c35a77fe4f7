"""The kernels compile for every supported GPU, by whichever compiler is there."""

import os
import shutil
import subprocess
from ctypes import byref, c_int
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgerd.cuda.kernels import compilers, cubins
from edgerd.cuda.kernels.compilers import compile_cubins, found_compilers
from edgerd.errors import MissingDependencyError

SOURCE = Path(cubins.__file__).with_name("preprocess.cu")
ARCHITECTURES = [75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121]
"""Turing (T4) to Blackwell and Thor; 87 is Jetson Orin, 110 Jetson Thor."""


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    """A machine without any compiler."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(compilers, "_TOOLKIT", tmp_path)
    monkeypatch.setattr(compilers, "_NVRTC_NAMES", ())
    monkeypatch.setattr(compilers.importlib.util, "find_spec", lambda name: None)
    return tmp_path


def script(folder, text):
    file = folder / "nvcc"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_without_a_compiler_it_says_which_to_install(no_compiler):
    with pytest.raises(MissingDependencyError, match="no compiler") as caught:
        next(compile_cubins("", "sm_87"))
    assert "pip install nvidia-cuda-nvrtc" in caught.value.hint


def test_what_the_compiler_says_is_passed_on(no_compiler):
    script(no_compiler, "echo \"nvcc fatal : Unsupported gpu architecture 'sm_300'\" >&2; exit 1")
    with pytest.raises(MissingDependencyError, match=r"do not compile for sm_300.\n.*Unsupported gpu") as caught:
        next(compile_cubins("", "sm_300"))
    assert "knows sm_300" in caught.value.expected


def test_the_compiler_in_the_toolkits_folder_is_found(no_compiler):
    folder = no_compiler / "bin"
    folder.mkdir()
    script(folder, 'while [ "$1" != -o ]; do shift; done; printf cubin > "$2"')
    assert list(compile_cubins("", "sm_87")) == [b"cubin"]
    assert found_compilers() == (str(folder / "nvcc"),)


def test_every_nvrtc_is_tried(no_compiler, monkeypatch):
    wheels = no_compiler / "nvidia"
    for name in ("cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13"):
        file = wheels / name
        file.parent.mkdir(parents=True)
        source = file.with_name("nvrtc.c")
        functions = "".join(f"int {function}() {{ return 1; }}\n" for function in compilers._NVRTC_SIGNATURES)
        source.write_text(functions)
        subprocess.run(
            ["/usr/bin/gcc", "-shared", "-fPIC", "-o", file, source], check=True, env={"PATH": "/usr/bin:/bin"}
        )
    found = SimpleNamespace(submodule_search_locations=[str(wheels)])
    monkeypatch.setattr(compilers.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(MissingDependencyError, match=r"libnvrtc\.so\.12\): it does not start\n.*libnvrtc\.so\.13\)"):
        next(compile_cubins("", "sm_87"))


real_nvcc = pytest.mark.skipif(not shutil.which("nvcc"), reason="there is no nvcc")


@real_nvcc
@pytest.mark.parametrize("architecture", [87])
def test_nvcc_compiles_it_without_a_warning_or_a_spill(architecture, tmp_path):
    check_with_nvcc(architecture, tmp_path)


@real_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", [number for number in ARCHITECTURES if number != 87])
def test_nvcc_compiles_it_for_the_others_too(architecture, tmp_path):
    check_with_nvcc(architecture, tmp_path)


def check_with_nvcc(architecture, folder):
    command = ["nvcc", "-cubin", f"-arch=sm_{architecture}", *compilers.OPTIONS, "-Werror=all-warnings"]
    command += ["-Xcompiler=-Wall,-Wextra", "-Xptxas=-v", "-o", str(folder / "kernels.cubin"), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True)
    if f"Unsupported gpu architecture 'sm_{architecture}'" in done.stderr:
        pytest.skip(f"this nvcc does not know sm_{architecture}")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    spills = [line for line in done.stderr.splitlines() if "spill" in line]
    assert len(spills) == 12
    assert all("0 bytes spill stores, 0 bytes spill loads" in line for line in spills)


@pytest.fixture(params=[12, 13])
def nvrtc(request):
    """One NVRTC library per version that is installed here."""
    for _, library in compilers._nvrtcs():
        major, minor = c_int(), c_int()
        library.nvrtcVersion(byref(major), byref(minor))
        if major.value == request.param:
            return library
    if os.environ.get("CI") and request.param == 13:  # make setup installs it
        pytest.fail("CI must compile the kernels with NVRTC 13, and there is none")
    pytest.skip(f"there is no NVRTC {request.param}")


def test_nvrtc_compiles_it(nvrtc):
    image = compilers._compile_with_nvrtc(nvrtc, cubins.kernel_source(), "sm_87")
    assert image.startswith(b"\x7fELF")
    assert b"area_nv12_unaligned" in image


def test_nvrtc_names_the_line_that_is_wrong(nvrtc):
    with pytest.raises(compilers._RefusedError, match=r"kernels\.cu\(1\): error"):
        compilers._compile_with_nvrtc(nvrtc, "int 3;", "sm_87")
