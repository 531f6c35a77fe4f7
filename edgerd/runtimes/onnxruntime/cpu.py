"""ONNX Runtime on the CPU: the FP32 reference, there on every machine, and INT8 where the CPU multiplies it fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgerd.bundle.manifest import EngineKey
from edgerd.errors import MissingDependencyError
from edgerd.paths import temporary_folder
from edgerd.runtimes.interface import (
    ANOMALY_MAP,
    FRAME,
    SCORE,
    check_frames,
    check_precision,
    closed,
    cpu_engine_key,
    graph_size,
    run_errors,
    thread_count,
    unreadable,
)
from edgerd.runtimes.machine import int8_flavour
from edgerd.runtimes.protocol import Maps, Probe
from edgerd.types import UInt8Array

OPTIMISED_FILE = "optimised.onnx"
_PROVIDERS = ["CPUExecutionProvider"]
_ERRORS_ONLY = 3
_FIX = "pip install onnxruntime"


class OnnxRuntime:
    """Runs the graph through ONNX Runtime's CPU provider; INT8 is a graph with Q/DQ nodes.

    `build` keeps the graph as the optimiser leaves it, its layout already the one this CPU's kernels want: it starts in
    about a quarter of the time and gives the same bits. Such a file fits one kind of CPU only, which the key guards.
    """

    name = "onnxruntime"

    def probe(self) -> Probe:
        """See `Runtime.probe`."""
        try:
            ort = import_onnxruntime()
        except MissingDependencyError as error:
            return Probe(version=None, reason=error.what, fix=_FIX)
        flavour = int8_flavour()
        if not flavour:
            reason = "int8 needs a CPU with AVX2, better VNNI, or with Arm's dot product"
            return Probe(version=ort.__version__, precisions=("fp32",), reason=reason)
        return Probe(version=ort.__version__, precisions=("fp32", "int8"), int8_flavour=flavour)

    def key(self, precision: str, graph_sha256: str) -> EngineKey:
        """See `Runtime.key`."""
        return cpu_engine_key(self.name, import_onnxruntime().__version__, precision, graph_sha256)

    def build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """See `Runtime.build`; gives the optimised graph, ONNX with ONNX Runtime's own operators in it."""
        check_precision(self.name, self.probe(), precision)
        ort = import_onnxruntime()
        with temporary_folder() as folder:
            file = folder / OPTIMISED_FILE
            options = session_options(ort, threads=1)
            options.optimized_model_filepath = str(file)
            _open_session(ort, graph, options, "The graph")
            return {OPTIMISED_FILE: file.read_bytes()}

    def load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], *, threads: int = 0) -> OnnxRuntimeEngine:
        """See `Runtime.load`."""
        ort = import_onnxruntime()
        threads = thread_count(threads)
        options = session_options(ort, threads)
        if files:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # has been through it
            optimised = files.get(OPTIMISED_FILE, b"")
            return OnnxRuntimeEngine(_open_session(ort, optimised, options, OPTIMISED_FILE), key, threads)
        return OnnxRuntimeEngine(_open_session(ort, graph, options, "The graph"), key, threads)


class OnnxRuntimeEngine:
    """An open session. See `Engine`.

    Attributes:
        key: What it was opened under.
        threads: CPU threads it computes with.
    """

    def __init__(self, session: Any, key: EngineKey, threads: int) -> None:
        self.key = key
        self.threads = threads
        self._session = session
        self._refusals = refusals(import_onnxruntime())
        frame = session.get_inputs()[0]
        outputs = {output.name for output in session.get_outputs()}
        self._height, self._width = graph_size(frame.name, frame.shape, outputs)

    def infer(self, frames: UInt8Array) -> Maps:
        """See `Engine.infer`."""
        if self._session is None:
            raise closed()
        check_frames(frames, self._height, self._width)
        # Buffers bound in advance were no faster: ONNX Runtime reads the array in place, and the outputs are small.
        with run_errors("ONNX Runtime", *self._refusals):
            return Maps(*self._session.run([SCORE, ANOMALY_MAP], {FRAME: frames}))

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None


def import_onnxruntime() -> Any:
    """The module.

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"onnxruntime cannot be imported: {error}.", hint=_FIX) from error
    return onnxruntime


def session_options(ort: Any, threads: int) -> Any:
    """What every session is opened with."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Threads spin between the operators of one picture, which is fast, but not between pictures: the camera, the
    # preprocessing and the sinks want the cores then.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def refusals(ort: Any) -> tuple[type[Exception], ...]:
    """What a session raises for a graph, or a run, that it refuses."""
    states = ort.capi.onnxruntime_pybind11_state
    return (
        states.EPFail,
        states.Fail,
        states.InvalidArgument,
        states.InvalidGraph,
        states.InvalidProtobuf,
        states.NotImplemented,
        states.RuntimeException,
    )


def _open_session(ort: Any, content: bytes, options: Any, what: str) -> Any:
    try:
        return ort.InferenceSession(content, options, providers=_PROVIDERS)
    except refusals(ort) as error:
        raise unreadable(what, error) from error
