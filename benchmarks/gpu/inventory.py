"""What is there: driver, GPU, TensorRT, ONNX Runtime, pycuda, compilers."""

from __future__ import annotations

import ctypes
import sys
from importlib.metadata import PackageNotFoundError, version

from machine import machine

from edgerd.cuda.driver import LIBRARY, Driver
from edgerd.cuda.kernels.compilers import found_compilers
from edgerd.cuda.properties import gpu_properties
from edgerd.errors import MissingDependencyError
from edgerd.runtimes import load_runtime
from gpu.card import facts
from gpu.sections import Row, Section

GPU_RUNTIMES = ("tensorrt", "onnxruntime-cuda")
_PACKAGES = (
    *("pycuda", "torch", "nvidia-modelopt", "onnxruntime", "onnxruntime-gpu", "onnx"),
    *("opencv-python", "opencv-python-headless", "numpy", "scipy", "pytest"),
)


def fill(section: Section) -> None:
    """A row for each thing: whether it is there, its version, what to type where it is not.

    Facts for what comes after: `gpu`, its name or None; `no_gpu`, why it cannot be used; `is_emulated`; `engines`, what
    can be built, as [runtime, precision]; `card`, what `nvidia-smi` says of it; `machine`.
    """
    section.facts["machine"] = machine()
    section.facts |= {"gpu": None, "is_emulated": is_emulated(), "engines": []}
    section.rows += [_driver(), _gpu(section)]
    for name in GPU_RUNTIMES:
        probe = load_runtime(name).probe()
        found = f"{probe.version}: {', '.join(probe.precisions)}" if probe.usable else None
        section.rows.append(_row(name, found, f"{probe.reason} Next: {probe.fix}"))
        section.facts["engines"] += [[name, precision] for precision in probe.precisions]
    section.rows.append(_compilers())
    section.rows += [_row(package, _version(package)) for package in _PACKAGES]
    section.rows.append(_row("Python", ".".join(map(str, sys.version_info[:3]))))
    if not section.facts["is_emulated"]:
        section.facts["card"] = facts()
        section.rows += [_row(name, value) for name, value in section.facts["card"].items()]


def is_emulated() -> bool:
    """Whether the driver is the tests' stand-in, whose times mean nothing."""
    try:
        return hasattr(ctypes.CDLL(LIBRARY), "emulation_reset")
    except OSError:
        return False


def _row(what: str, found: str | None, fix: str = "") -> Row:
    return {"what": what, "found": found, "missing, and what to do": "" if found else fix or "not installed"}


def _driver() -> Row:
    try:
        major, minor = Driver().cuda_version()
    except MissingDependencyError as error:
        return _row("driver", None, f"{error.what} Next: {error.hint}")
    return _row("driver", f"for CUDA {major}.{minor}")


def _gpu(section: Section) -> Row:
    try:
        gpu = gpu_properties()
    except MissingDependencyError as error:
        section.facts["no_gpu"] = f"{error.what} Next: {error.hint}"
        return _row("GPU", None, section.facts["no_gpu"])
    section.facts["gpu"] = gpu.name
    shared = ", shared with the CPU" if gpu.is_integrated else ""
    return _row("GPU", f"{gpu.name}, {gpu.architecture}, {gpu.memory_bytes / 2**30:.1f} GiB{shared}")


def _compilers() -> Row:
    found = found_compilers()
    return _row("compiler of kernels", ", ".join(found) or None, "neither nvcc nor NVRTC")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
