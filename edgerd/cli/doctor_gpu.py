"""What `edgerd doctor` says about the GPU path: driver, permissions, pycuda, TensorRT's parts, a kernel compiler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from edgerd.cuda.context import pycuda_version
from edgerd.cuda.driver import Driver, device_nodes, forbidden_node
from edgerd.cuda.kernels.compilers import INSTALL, found_compilers
from edgerd.cuda.kernels.cubins import cubin_file
from edgerd.cuda.properties import GpuProperties, gpu_properties
from edgerd.errors import MissingDependencyError
from edgerd.paths import is_file
from edgerd.runtimes.tensorrt.library import library_version, tensorrt_version

_PYCUDA_BUILD = (
    "sudo apt-get install build-essential python3-dev && export PATH=/usr/local/cuda/bin:$PATH "
    'CUDA_ROOT=/usr/local/cuda && pip install "edgerd[tensorrt]" (this compiles it against the CUDA toolkit\'s headers)'
)


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes:
        label: What was looked at.
        ok: Whether it is as it should be.
        text: What was found.
        fix: What to type; empty where all is well.
    """

    label: str
    ok: bool
    text: str
    fix: str = ""


def gpu_checks() -> Iterator[Check]:
    """Each part of the GPU path, in the order in which they need each other."""
    yield _driver()
    if device_nodes():
        yield _permissions()
    yield _pycuda()
    yield from _tensorrt_libraries()
    yield _kernels()


def _driver() -> Check:
    try:
        driver = Driver()
        driver.initialise()
    except MissingDependencyError as error:
        fix = error.hint or ""
        return Check(
            "gpu driver",
            False,
            error.what,
            fix if device_nodes() else f"nothing if there is no NVIDIA GPU; else: {fix}",
        )
    major, minor = driver.cuda_version()
    gpu = _properties()
    name = f", {gpu.name} ({gpu.architecture}, {gpu.memory_bytes / 2**30:.0f} GiB)" if gpu else ""
    return Check("gpu driver", True, f"for CUDA {major}.{minor}{name}")


def _permissions() -> Check:
    node = forbidden_node()
    if node is None:
        return Check("gpu permissions", True, f"{len(device_nodes())} device files can be opened")
    fix = "sudo usermod -aG video,render $USER, then log in again; for a container, pass the device to it"
    return Check("gpu permissions", False, f"{node} cannot be opened by this user", fix)


def _pycuda() -> Check:
    try:
        return Check("pycuda", True, pycuda_version())
    except MissingDependencyError as error:
        if find_spec("pycuda") is None:
            return Check("pycuda", False, error.what, _PYCUDA_BUILD)
        if "libcuda.so" in error.what:
            return Check("pycuda", False, "installed, but libcuda is missing", "install the NVIDIA driver, see above")
        return Check("pycuda", False, error.what, error.hint or "")  # there, but it does not load


def _tensorrt_libraries() -> Iterator[Check]:
    """Whether TensorRT's library and bindings agree; no row where there are no bindings, as another row says that."""
    try:
        bindings = tensorrt_version()
    except MissingDependencyError:
        return
    library = library_version(bindings)
    if bindings.split(".")[:3] == library.split("."):
        yield Check("libnvinfer", True, f"{library}, the same version as the Python bindings {bindings}")
        return
    found = f"is {library}" if library else "cannot be loaded or gives no version"
    fix = (
        "install both from the same source: on a Jetson sudo apt-get install --reinstall python3-libnvinfer "
        "libnvinfer10 (your JetPack's), elsewhere pip install --force-reinstall tensorrt; on a Jetson a pip package "
        "shadows JetPack's"
    )
    yield Check("libnvinfer", False, f"{found}, the Python bindings are {bindings}", fix)


def _kernels() -> Check:
    compilers = found_compilers()
    if compilers:
        return Check("kernel compiler", True, ", ".join(compilers))
    gpu = _properties()
    kept = cubin_file(gpu.capability) if gpu else None
    if kept and is_file(kept):
        return Check("kernel compiler", True, f"none, and none is needed: {kept}")
    return Check("kernel compiler", False, "neither nvcc nor NVRTC", INSTALL)


def _properties() -> GpuProperties | None:
    try:
        return gpu_properties()
    except MissingDependencyError:
        return None
