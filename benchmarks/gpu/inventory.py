"""What is there: driver, GPU, TensorRT, ONNX Runtime, pycuda, compilers."""

from __future__ import annotations

import ctypes
import sys
from importlib.metadata import PackageNotFoundError, version

from edgerd.cuda.driver import LIBRARY
from edgerd.cuda.kernels.compilers import found_compilers
from edgerd.cuda.properties import gpu_properties
from edgerd.errors import MissingDependencyError
from edgerd.runtimes import load_runtime
from gpu.sections import Row, Section

GPU_RUNTIMES = ("tensorrt", "onnxruntime-cuda")
_PACKAGES = ("pycuda", "torch", "nvidia-modelopt", "onnxruntime", "onnxruntime-gpu", "opencv-python", "numpy")


def fill(section: Section) -> None:
    """A row for each thing: whether it is there, its version, what to type where it is not."""
    section.rows += [_driver(), _gpu(), *(_runtime(name) for name in GPU_RUNTIMES), _compilers()]
    section.rows += [_row(package, _version(package)) for package in _PACKAGES]
    section.rows.append(_row("Python", ".".join(map(str, sys.version_info[:3]))))


def is_emulated() -> bool:
    """Whether the driver is the tests' stand-in, whose times mean nothing."""
    try:
        return hasattr(ctypes.CDLL(LIBRARY), "emulation_reset")
    except OSError:
        return False


def has_gpu() -> bool:
    """Whether there is one that can be used, emulated or not."""
    try:
        return bool(gpu_properties().name)
    except MissingDependencyError:
        return False


def card() -> str | None:
    """The GPU's name, in a form for files; None where there is no GPU, or one that is emulated."""
    try:
        name = gpu_properties().name
    except MissingDependencyError:
        return None
    return None if is_emulated() else "-".join(name.lower().replace("/", " ").split())


def _row(what: str, found: str | None, fix: str = "") -> Row:
    return {"what": what, "found": found, "missing, and what to do": "" if found else fix or "not installed"}


def _driver() -> Row:
    try:
        library, number = ctypes.CDLL(LIBRARY), ctypes.c_int()
    except OSError as error:
        return _row("driver", None, str(error))
    library.cuDriverGetVersion(ctypes.byref(number))
    return _row("driver", f"for CUDA {number.value // 1000}.{number.value % 1000 // 10}")


def _gpu() -> Row:
    try:
        gpu = gpu_properties()
    except MissingDependencyError as error:
        return _row("GPU", None, f"{error.what} Next: {error.hint}")
    shared = ", shared with the CPU" if gpu.is_integrated else ""
    return _row("GPU", f"{gpu.name}, {gpu.architecture}, {gpu.memory_bytes / 2**30:.1f} GiB{shared}")


def _runtime(name: str) -> Row:
    probe = load_runtime(name).probe()
    found = f"{probe.version}: {', '.join(probe.precisions)}" if probe.usable else None
    return _row(name, found, f"{probe.reason} Next: {probe.fix}")


def _compilers() -> Row:
    found = found_compilers()
    return _row("compiler of kernels", ", ".join(found) or None, "neither nvcc nor NVRTC")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
