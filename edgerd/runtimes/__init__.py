"""Runtimes: ways to run the fused graph. A new one is one file and one line in `RUNTIMES`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerd.tables import load

if TYPE_CHECKING:
    from edgerd.runtimes.protocol import Runtime

RUNTIMES = {
    "onnxruntime": "edgerd.runtimes.onnxruntime.cpu:OnnxRuntime",
    "onnxruntime-cuda": "edgerd.runtimes.onnxruntime.cuda:OnnxRuntimeCuda",
    "openvino": "edgerd.runtimes.openvino:OpenVino",
    "tensorrt": "edgerd.runtimes.tensorrt.runtime:TensorRt",
}

__all__ = ["RUNTIMES", "load_runtime"]


def load_runtime(name: str) -> Runtime:
    """The runtime of that name. Its library is imported when it is first used, not here.

    Raises:
        InputError: There is no such runtime; the message offers the nearest name.
    """
    runtime: Runtime = load(RUNTIMES, name, "runtime")()
    return runtime
