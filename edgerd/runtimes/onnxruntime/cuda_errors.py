"""Translate what ONNX Runtime's CUDA provider raises into errors of the GPU, by the CUDA codes in its messages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from edgerd.cuda.context import Context
from edgerd.errors import DeviceError, DeviceLostError, EdgerdError
from edgerd.runtimes.interface import unreadable
from edgerd.runtimes.onnxruntime.cpu import refusals

_OUT_OF_MEMORY = 2
_FAILURE = re.compile(r"\bCU[A-Z_]+ failure -?\d+: [^;\n]*")
"""The part of ONNX Runtime's messages that is worth showing: "CUDA failure 700: ...", and the same with CUBLAS, CUDNN
and CUDNN_FE. Around it are file names and host names."""
_LONGEST = 300


def failures(ort: Any) -> tuple[type[Exception], ...]:
    """The exceptions of opening and running; RuntimeError itself comes from providers and from runs with bindings."""
    return (*refusals(ort), RuntimeError)


def refused(error: Exception, gpu: Context) -> EdgerdError:
    """The error for a session that does not open."""
    text = str(error)
    if "fallback to CPU EP" in text:
        return DeviceError(
            "ONNX Runtime does not run all of this graph on the GPU.",
            expected="a driver as new as the package's CUDA, and operators that the package has for CUDA",
            hint="The message printed above says why; `edgerd doctor` checks the installation.",
        )
    is_of_gpu = isinstance(error, RuntimeError) or _FAILURE.search(text) or "Failed to allocate memory" in text
    return _device_error(error, gpu) if is_of_gpu else unreadable("The graph", error)


@contextlib.contextmanager
def device_errors(ort: Any, gpu: Context) -> Iterator[None]:
    """Turn what a run raises into DeviceError, or DeviceLostError where the GPU no longer answers."""
    try:
        yield
    except failures(ort) as error:
        raise _device_error(error, gpu) from error


def _device_error(error: Exception, gpu: Context) -> EdgerdError:
    """The error for a failure on the GPU; notes in `gpu` that it is lost where that is what the message says."""
    text, call = str(error).strip(), "ONNX Runtime's run"
    number = re.search(r"CUDA failure (\d+)", text)
    described = re.search(r"CUDA error cuda\w+:(.+)", text)
    if number:  # CUDA's runtime has the same codes as the driver for the errors that matter here
        found = gpu.driver.error(int(number[1]), call)
    elif described:
        found = gpu.driver.error_of(f"{call} failed: {described[1]}")
    elif "Failed to allocate memory" in text:
        found = gpu.driver.error(_OUT_OF_MEMORY, call)
    else:
        failure, node = _FAILURE.search(text), re.search(r"\w+ node\. Name:'[^']*'", text)
        said = failure[0].strip() if failure else text.partition("\n")[0][:_LONGEST]
        said += f" ({node[0]})" if failure and node else ""
        found = DeviceError(f"ONNX Runtime refused to run: {said}", hint="edgerd doctor")
    gpu.is_lost = gpu.is_lost or isinstance(found, DeviceLostError)
    return found
