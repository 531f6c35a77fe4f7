"""Compiles CUDA C++ to cubins: with nvcc where the toolkit is installed, then with NVRTC, the compiler as a library.

docs/decisions/cuda-kernels.md says why the package has no cubin or PTX.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

from edgerd.errors import MissingDependencyError
from edgerd.paths import is_file, temporary_folder

OPTIONS = ("--std=c++17",)
"""Options of both compilers. They are a part of the key under which a cubin is kept."""

_TOOLKIT = Path("/usr/local/cuda")
"""Where the toolkit is installed by default, on a Jetson too; often not in PATH."""
_NVRTC_NAMES = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2")
_NVRTC_SIGNATURES = {
    "nvrtcCreateProgram": (POINTER(c_void_p), c_char_p, c_char_p, c_int, c_void_p, c_void_p),
    "nvrtcCompileProgram": (c_void_p, c_int, POINTER(c_char_p)),
    "nvrtcGetCUBINSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetCUBIN": (c_void_p, c_char_p),
    "nvrtcGetProgramLogSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetProgramLog": (c_void_p, c_char_p),
    "nvrtcDestroyProgram": (POINTER(c_void_p),),
}
"""Arguments of NVRTC's functions (nvrtc.h, https://docs.nvidia.com/cuda/nvrtc/), which return 0 for success. NVRTC
makes cubins since CUDA 11.1."""
INSTALL = (
    "Install the CUDA toolkit's compiler (on a Jetson: sudo apt install cuda-nvcc-12-6, or the version of your "
    "JetPack), or: pip install nvidia-cuda-nvrtc-cu12 (for a driver of CUDA 12; nvidia-cuda-nvrtc for one of CUDA 13)"
)
"""What to do where there is no compiler."""


def compile_cubins(source: str, architecture: str) -> Iterator[bytes]:
    """Compile for one kind of GPU, with one compiler after the other.

    The next cubin is for a driver that refuses the one before: drivers load no cubins of a CUDA newer than their own.

    Args:
        source: CUDA C++ without includes.
        architecture: For example "sm_87".

    Yields:
        The cubin of each compiler that knows the architecture.

    Raises:
        MissingDependencyError: There is no compiler, or none that knows this architecture.
    """
    refusals, n_made = [], 0
    for name, compiler in _compilers():
        try:
            image = compiler(source, architecture)
        except _RefusedError as error:  # noqa: PERF203 -- the next one may know the architecture
            refusals.append(f"{name}: {error}")
        else:
            n_made += 1
            yield image
    if n_made:
        return
    if not refusals:
        raise MissingDependencyError(
            "There is no compiler for the GPU's kernels.", expected="nvcc or libnvrtc", hint=INSTALL
        )
    raise MissingDependencyError(
        f"The GPU's kernels do not compile for {architecture}.\n" + "\n".join(refusals),
        expected=f"a CUDA toolkit that knows {architecture}",
        hint=INSTALL,
    )


def found_compilers() -> tuple[str, ...]:
    """The compilers that `compile_cubins` would try, in order: the path of nvcc, then files of NVRTC."""
    return tuple(name for name, _ in _compilers())


class _RefusedError(Exception):
    """A compiler refused; the message is what it printed."""


def _compilers() -> Iterator[tuple[str, Callable[[str, str], bytes]]]:
    nvcc = _find_nvcc()
    if nvcc:
        yield nvcc, functools.partial(_compile_with_nvcc, nvcc)
    for name, library in _nvrtcs():
        yield f"NVRTC ({name})", functools.partial(_compile_with_nvrtc, library)


def _toolkits() -> list[Path]:
    folders = (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"))
    return [*(Path(folder) for folder in folders if folder), _TOOLKIT]


def _find_nvcc() -> str | None:
    places = [os.environ.get("PATH", ""), *(str(folder / "bin") for folder in _toolkits())]
    return shutil.which("nvcc", path=os.pathsep.join(places))


def _nvrtcs() -> Iterator[tuple[str, ctypes.CDLL]]:
    """NVRTC libraries of the system, of the toolkits' folders, and of torch's wheels nvidia-cuda-nvrtc*."""
    wheels = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (wheels.submodule_search_locations or [])] if wheels else []
    in_wheels = [str(file) for folder in folders for file in sorted(folder.glob("*/lib/libnvrtc.so.*"), reverse=True)]
    in_toolkits = [str(folder / "lib64" / name) for folder in _toolkits() for name in _NVRTC_NAMES]
    handles = set()  # one library may be found under several names
    for name in (*_NVRTC_NAMES, *in_toolkits, *in_wheels):
        try:
            library = ctypes.CDLL(name)
            for function, arguments in _NVRTC_SIGNATURES.items():
                getattr(library, function).argtypes = arguments
        except (OSError, AttributeError):  # not there, or from before cubins
            continue
        if library._handle not in handles:
            handles.add(library._handle)
            yield name, library


def _compile_with_nvcc(nvcc: str, source: str, architecture: str) -> bytes:
    with temporary_folder() as folder:
        file, output = folder / "kernels.cu", folder / "kernels.cubin"
        file.write_text(source, encoding="utf-8")
        command = [nvcc, "-cubin", f"-arch={architecture}", *OPTIONS, "-o", str(output), str(file)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
        except OSError as error:
            raise _RefusedError(str(error)) from error
        if done.returncode or not is_file(output):
            raise _RefusedError(_shortened(done.stderr or done.stdout))
        return output.read_bytes()


def _compile_with_nvrtc(library: ctypes.CDLL, source: str, architecture: str) -> bytes:
    program = c_void_p()
    if library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None):
        raise _RefusedError("it does not start")
    try:
        options = [option.encode() for option in (f"--gpu-architecture={architecture}", *OPTIONS)]
        if library.nvrtcCompileProgram(program, len(options), (c_char_p * len(options))(*options)):
            raise _RefusedError(_shortened(_nvrtc_output(library, program, "ProgramLog").decode(errors="replace")))
        return _nvrtc_output(library, program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtc_output(library: ctypes.CDLL, program: c_void_p, kind: str) -> bytes:
    size = c_size_t()
    getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
    output = ctypes.create_string_buffer(max(size.value, 1))
    getattr(library, f"nvrtcGet{kind}")(program, output)
    return output.raw[: size.value]


def _shortened(text: str) -> str:
    lines = [line for line in text.strip("\0\n ").splitlines() if line.strip()]
    return "\n".join(lines[:8]) or "no reason given"
