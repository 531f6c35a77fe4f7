"""OpenVINO on the CPU: FP32, and BF16 and INT8 where the CPU multiplies in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np

from edgerd.bundle.manifest import EngineKey
from edgerd.errors import MissingDependencyError
from edgerd.graph_names import ANOMALY_MAP, SCORE
from edgerd.runtimes.base import BaseEngine, BaseRuntime, Place
from edgerd.runtimes.interface import graph_size, thread_count, unreadable
from edgerd.runtimes.machine import cpu_features, cpu_name, int8_flavour
from edgerd.runtimes.openvino_cut import cut_before_head
from edgerd.runtimes.protocol import Maps, Probe
from edgerd.types import UInt8Array

_LIBRARY = "OpenVINO"
_DEVICE = "CPU"
_USAGE_DATA = "openvino_telemetry"
_FIX = 'pip install "edgerd[openvino]"'
_WHOLE, _CUT = {"graph.blob": "f32"}, {"body.blob": "bf16", "head.blob": "f32"}
"""The compiled models in the order they run: file name to the `INFERENCE_PRECISION_HINT` it is compiled with."""
_INT8_FLAVOURS = {"u8s8": "u8s8-fused", "u8s7": "u8s7-fused"}
"""The CPU's flavour to the one that the plug-in takes, which adds residual sums within the convolution. Arm has none,
because the plug-in has few INT8 kernels for it."""


class OpenVino(BaseRuntime):
    """Runs the graph through OpenVINO's CPU plug-in.

    The plug-in is always told the precision, because its default is BF16 on CPUs that have it. At bf16 the head stays
    in FP32 (`edgerd.runtimes.openvino_cut`). At int8, what is not between Q/DQ nodes is computed in the same way where
    the CPU multiplies BF16, and in FP32 elsewhere. Everything is compiled for a batch of 1, and tiles run one after
    another: on a CPU that is no slower, and the score of a tile does not depend on its neighbours.

    `build` keeps the compiled models: they start in about half of the time and give the same bits. The plug-in is told
    precision and threads again when they are imported; otherwise it would take its defaults, not what was stored.
    """

    name = "openvino"
    library = _LIBRARY

    def probe(self) -> Probe:
        """What this machine offers: FP32 always, BF16 and INT8 where the CPU multiplies in them."""
        try:
            openvino = _import()
            capabilities = openvino.Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        except MissingDependencyError as error:
            return Probe(version=None, reason=error.what, fix=_FIX)
        except RuntimeError as error:  # installed without the CPU plug-in
            return Probe(version=_version(openvino), reason=f"OpenVINO has no CPU device: {error}", fix=_FIX)
        has_bf16 = "BF16" in capabilities and _multiplies_bf16()
        flavour = _INT8_FLAVOURS.get(int8_flavour(), "")
        lacks = [] if has_bf16 else ["bf16 needs a CPU with AVX512_BF16 or AMX"]
        lacks += [] if flavour else ["int8 needs an x86 CPU with AVX2, better VNNI"]
        return Probe(
            version=_version(openvino),
            precisions=("fp32", *(["bf16"] if has_bf16 else []), *(["int8"] if flavour else [])),
            reason="; ".join(lacks),
            int8_flavour=flavour,
        )

    def _place(self) -> Place:
        return Place(_version(_import()), cpu_name(), cpu_features())

    def _build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Keep one compiled model, or two where the head has a precision of its own."""
        parts = _compile(_import().Core(), graph, precision, thread_count(0))
        return {file: _exported(part) for file, part in zip(_parts(precision), parts, strict=True)}

    def _load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], threads: int) -> OpenVinoEngine:
        core = _import().Core()
        if files:
            return OpenVinoEngine(_import_parts(core, files, key.precision, threads), key)
        return OpenVinoEngine(_compile(core, graph, key.precision, threads), key)


class OpenVinoEngine(BaseEngine):
    """Compiled models that feed each other; OpenVINO takes no more threads than there are cores."""

    library = _LIBRARY

    def __init__(self, parts: Sequence[Any], key: EngineKey) -> None:
        _, height, width, _ = parts[0].inputs[0].shape
        super().__init__(key, int(parts[0].get_property("INFERENCE_NUM_THREADS")), (int(height), int(width)))
        self._requests = [part.create_infer_request() for part in parts]
        for (earlier, later), part in zip(pairwise(self._requests), parts[1:], strict=True):
            for port in part.inputs:
                later.set_tensor(port, earlier.get_tensor(port.any_name))

    def _close(self) -> None:
        self._requests = []

    def _infer(self, frames: UInt8Array) -> Maps:
        frame = self._requests[0].get_input_tensor().data
        score = np.empty(len(frames), np.float32)
        anomaly_map = np.empty(frames.shape[:3], np.float32)
        last = self._requests[-1]
        for tile, pixels in enumerate(frames):
            frame[0] = pixels
            for request in self._requests:
                request.infer()
            score[tile] = last.get_tensor(SCORE).data[0]
            anomaly_map[tile] = last.get_tensor(ANOMALY_MAP).data[0]
        return Maps(score, anomaly_map)


def _import() -> Any:
    try:
        with _without_usage_data():
            import openvino
    except ImportError as error:
        raise MissingDependencyError(f"openvino cannot be imported: {error}.", hint=_FIX) from error
    return openvino


@contextmanager
def _without_usage_data() -> Iterator[None]:
    """Hide the package through which OpenVINO sends an event to Google Analytics whenever it is imported.

    OpenVINO then takes a stub of its own. An inspection sends nothing that it was not told to send.
    """
    there = sys.modules.get(_USAGE_DATA)
    sys.modules[_USAGE_DATA] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_USAGE_DATA]
        if there is not None:
            sys.modules[_USAGE_DATA] = there


def _version(openvino: Any) -> str:
    """Release and build, "2025.0.0-17942", without the commit and branch that follow."""
    return "-".join(str(openvino.__version__).split("-")[:2])


def _multiplies_bf16() -> bool:
    """Whether the CPU multiplies in BF16; OpenVINO also offers BF16 where the CPU only converts to it and back.

    Where the CPU's features are not known, OpenVINO's word is taken.
    """
    features = set(cpu_features())
    return not features or bool(features & {"avx512_bf16", "amx_bf16"})


def _parts(precision: str) -> dict[str, str]:
    """The compiled models of a precision, file name to precision hint."""
    return _CUT if precision == "bf16" or (precision == "int8" and _multiplies_bf16()) else _WHOLE


def _properties(hint: str, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Pinned threads take the same first cores in every process: two lines on one machine would share one core.
        "ENABLE_CPU_PINNING": False,
    }


def _compile(core: Any, graph: bytes, precision: str, threads: int) -> list[Any]:
    try:
        model = core.read_model(graph)
    except RuntimeError as error:
        raise unreadable("The graph", error) from error
    name, shape = model.inputs[0].any_name, model.inputs[0].get_partial_shape()
    dimensions = [side.get_length() if side.is_static else str(side) for side in shape]
    height, width = graph_size(name, dimensions, {output.any_name for output in model.outputs})
    model.reshape([1, height, width, 3])
    parts = _parts(precision)
    models = cut_before_head(model) if parts is _CUT else (model,)
    hints = parts.values()
    return [
        core.compile_model(part, _DEVICE, _properties(hint, threads)) for part, hint in zip(models, hints, strict=True)
    ]


def _exported(part: Any) -> bytes:
    stream = BytesIO()
    part.export_model(stream)
    return stream.getvalue()


def _import_parts(core: Any, files: Mapping[str, bytes], precision: str, threads: int) -> list[Any]:
    def imported(file: str, hint: str) -> Any:
        try:
            return core.import_model(files.get(file, b""), _DEVICE, _properties(hint, threads))
        except RuntimeError as error:
            raise unreadable(file, error) from error

    return [imported(file, hint) for file, hint in _parts(precision).items()]
