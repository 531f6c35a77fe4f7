"""ONNX Runtime's CUDA provider: the GPU runtime where TensorRT is not installed.

Options: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html. All nodes run on the GPU or none
does: a graph that would be split between GPU and CPU is refused, not run slowly.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
from collections.abc import Mapping
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edgerd.cuda.context import Context
from edgerd.cuda.properties import gpu_properties
from edgerd.errors import EdgerdError, MissingDependencyError
from edgerd.manifest import EngineKey
from edgerd.runtimes.interface import check_precision, thread_count, unreadable
from edgerd.runtimes.onnxruntime import import_onnxruntime
from edgerd.runtimes.onnxruntime_cuda_engine import PROVIDER, OnnxRuntimeCudaEngine
from edgerd.runtimes.protocol import Probe

_FIX = 'pip uninstall onnxruntime, then pip install "onnxruntime-gpu[cuda,cudnn]" (both live in the same folder)'
_LIBRARIES = ("libcudart.so.{}", "libcublas.so.{}", "libcublasLt.so.{}", "libcurand.so.10", "libcudnn.so.9")
"""What the provider is linked to or loads; {} is the CUDA that the package was built for."""


class OnnxRuntimeCuda:
    """Runs the graph through ONNX Runtime's CUDA provider; FP16 is the typed graph that TensorRT takes too."""

    name = "onnxruntime-cuda"

    def probe(self) -> Probe:
        """See `Runtime.probe`."""
        version = None
        try:
            version = _import().__version__
            gpu_properties()
            _check_libraries()
        except EdgerdError as error:
            return Probe(version=version, reason=error.what, fix=error.hint or _FIX)
        # the provider calculates Q/DQ nodes one by one, in floating point
        return Probe(version=version, precisions=("fp32", "fp16"), reason="int8 needs TensorRT")

    def key(self, precision: str, graph_sha256: str) -> EngineKey:
        """See `Runtime.key`."""
        version, gpu = _import().__version__, gpu_properties()
        return EngineKey(
            runtime=self.name,
            runtime_version=version,
            precision=precision,
            device=gpu.name,
            features=(gpu.architecture,),
            graph_sha256=graph_sha256,
        )

    def build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """See `Runtime.build`; opens the graph once to see that it can be, and keeps nothing: opening takes a second.

        Raises:
            DeviceError: The GPU refuses.
        """
        check_precision(self.name, self.probe(), precision)
        key = self.key(precision, graph_sha256="")
        self.load(graph, key, {}).close()
        return {}

    def load(
        self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], *, threads: int = 0
    ) -> OnnxRuntimeCudaEngine:
        """See `Runtime.load`.

        Raises:
            DeviceError: The GPU refuses.
        """
        ort = _import()
        _check_libraries()
        threads = thread_count(threads)
        if files:
            raise unreadable(", ".join(files), ValueError(f"{self.name} keeps no files"))
        gpu = Context()
        try:
            return OnnxRuntimeCudaEngine(ort, gpu, _at_opset_19(graph), key, threads)
        except BaseException:
            gpu.close()
            raise


def _import() -> Any:
    ort = import_onnxruntime()
    if PROVIDER not in ort.get_available_providers():
        raise MissingDependencyError(
            "onnxruntime-cuda needs the package onnxruntime-gpu; the onnxruntime that is installed is for CPUs.",
            hint=_FIX,
        )
    return ort


def _check_libraries() -> None:
    ort = _import()
    if hasattr(ort, "preload_dlls"):  # since 1.21: from the wheels that the package's extras bring
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()
    cuda = (getattr(ort, "cuda_version", None) or "12").partition(".")[0]
    missing = next(filter(None, (_reason(library.format(cuda)) for library in _LIBRARIES)), None)
    if missing:
        raise MissingDependencyError(
            f"onnxruntime-gpu {ort.__version__} lacks a library: {missing}.",
            expected=f"CUDA {cuda} and cuDNN 9",
            hint='pip install "onnxruntime-gpu[cuda,cudnn]", or install the CUDA toolkit and cuDNN.',
        )


def _reason(library: str) -> str:
    """Why a library does not load; empty where it does."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return str(error)
    return ""


def _at_opset_19(graph: bytes) -> bytes:
    """The same graph for the provider, whose ReduceMax is that of opset 18 (docs/OperatorKernels.md of ONNX Runtime).

    Opset 20 added booleans to it, and changed nothing else that the fused graph has.
    """
    try:
        model = onnx.load_from_string(graph)
    except DecodeError:
        return graph  # ONNX Runtime says what is wrong with it
    default = next((entry for entry in model.opset_import if entry.domain == ""), None)
    if default is None or default.version != 20:
        return graph
    names = {node.op_type for node in model.graph.node if node.domain == ""}
    changed = {name for name in names if onnx.defs.get_schema(name, 20).since_version == 20}
    if changed - {"ReduceMax", "ReduceMin"}:
        return graph
    default.version = 19
    return bytes(model.SerializeToString())
