"""Load what ONNX Runtime's CUDA provider is linked to: CUDA's libraries and cuDNN, from pip's wheels or the system.

`onnxruntime.preload_dlls` looks for NVIDIA's wheels beside its own package only. In a virtual environment that sees the
system's packages, or with a folder in PYTHONPATH, they may lie elsewhere; so here every folder is searched that Python
imports from.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

from edgerd.cuda.driver import Driver
from edgerd.errors import MissingDependencyError

_NEEDED = ("libcudart.so.{cuda}", "libcublasLt.so.{cuda}", "libcublas.so.{cuda}", "libcurand.so.10", "libcudnn.so.9")
"""Libraries that the provider is linked to, or loads for convolutions. Each needs only those before it."""
_WANTED = ("libnvrtc.so.{cuda}", "libcufft.so.{cufft}")
"""Libraries that are loaded where they are there: cuDNN compiles kernels with one, older releases need the other."""
_FIRST_WITH_CUDA_13 = "1.27"
"""The first version of onnxruntime-gpu that was built for CUDA 13."""


def load_libraries(ort: Any) -> None:
    """Load CUDA's libraries and cuDNN, so that the provider finds them by their names.

    Args:
        ort: The module `onnxruntime`, of the package onnxruntime-gpu.

    Raises:
        MissingDependencyError: One is missing, or the driver is older than the CUDA that the package was built for.
    """
    cuda = int((getattr(ort, "cuda_version", None) or "12").partition(".")[0])
    _check_driver(ort.__version__, cuda)
    names = {"cuda": cuda, "cufft": cuda - 1}
    for library in _WANTED:
        _loaded(library.format(**names))
    for library in _NEEDED:
        reason = _loaded(library.format(**names))
        if reason:
            raise MissingDependencyError(
                f"onnxruntime-gpu {ort.__version__} lacks a library: {reason}.",
                expected=f"CUDA {cuda} and cuDNN 9",
                hint=f'pip install "onnxruntime-gpu[cuda,cudnn]=={ort.__version__}", or install the CUDA toolkit and '
                "cuDNN.",
            )


def _check_driver(version: str, cuda: int) -> None:
    major, minor = Driver().cuda_version()
    if major >= cuda:
        return
    older = f', or pip install "onnxruntime-gpu[cuda,cudnn]<{_FIRST_WITH_CUDA_13}", which is for CUDA 12'
    raise MissingDependencyError(
        f"onnxruntime-gpu {version} was built for CUDA {cuda}, the driver is for CUDA {major}.{minor}.",
        expected=f"a driver for CUDA {cuda} or newer",
        hint=f"Update the NVIDIA driver{older if major == 12 else ''}.",
    )


def _loaded(library: str) -> str:
    """Load a library; gives the reason where it does not load, and an empty text where it does."""
    wheels = (file for folder in sys.path for file in sorted((Path(folder) / "nvidia").glob(f"*/lib/{library}")))
    reason = ""
    for name in (*map(str, wheels), library):
        try:
            ctypes.CDLL(name)
        except OSError as error:  # noqa: PERF203 -- the next one may load
            reason = str(error)
        else:
            return ""
    return reason
