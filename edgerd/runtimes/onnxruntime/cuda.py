"""ONNX Runtime's CUDA provider: the GPU runtime where TensorRT is not installed.

Options: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html. All nodes run on the GPU or none
does: a graph that would be split between GPU and CPU is refused, not run slowly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edgerd.bundle.manifest import EngineKey
from edgerd.cuda.context import Context
from edgerd.cuda.properties import gpu_properties
from edgerd.errors import EdgerdError, MissingDependencyError
from edgerd.runtimes.base import BaseRuntime, Place
from edgerd.runtimes.interface import unreadable
from edgerd.runtimes.onnxruntime.cpu import LIBRARY, import_onnxruntime
from edgerd.runtimes.onnxruntime.cuda_engine import PROVIDER, OnnxRuntimeCudaEngine
from edgerd.runtimes.onnxruntime.cuda_libraries import load_libraries
from edgerd.runtimes.protocol import Probe

_FIX = (
    'with an NVIDIA GPU: pip uninstall -y onnxruntime && pip install "onnxruntime-gpu[cuda,cudnn]" (the two share a '
    "folder; on a Jetson take TensorRT, which comes with JetPack)"
)


class OnnxRuntimeCuda(BaseRuntime):
    """Runs the graph through ONNX Runtime's CUDA provider; FP16 is the typed graph that TensorRT takes too."""

    name = "onnxruntime-cuda"
    library = LIBRARY

    def probe(self) -> Probe:
        """What this machine offers: FP32 and FP16, where onnxruntime-gpu, its libraries and a GPU are there."""
        version = None
        try:
            ort = _import()
            version = ort.__version__
            gpu_properties()
            load_libraries(ort)
        except EdgerdError as error:
            return Probe(version=version, reason=error.what, fix=error.hint or _FIX)
        # the provider would compute Q/DQ nodes one by one, in floating point
        return Probe(version=version, precisions=("fp32", "fp16"), reason="int8 needs TensorRT")

    def _place(self) -> Place:
        version, gpu = _import().__version__, gpu_properties()
        return Place(version, gpu.name, (gpu.architecture,))

    def _build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Open the graph once to see that it can be opened; nothing is kept, because opening takes a second."""
        self.load(graph, self.key(precision, graph_sha256=""), {}).close()
        return {}

    def _load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], threads: int) -> OnnxRuntimeCudaEngine:
        ort = _import()
        load_libraries(ort)
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


def _at_opset_19(graph: bytes) -> bytes:
    """Mark a graph of opset 20 as one of opset 19, where that means the same.

    The provider has no ReduceMax of opset 20 (docs/OperatorKernels.md of ONNX Runtime). That one differs in taking
    booleans too, and nothing else that is in the fused graph has changed.
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
