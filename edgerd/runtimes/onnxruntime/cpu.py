"""ONNX Runtime on the CPU: the FP32 reference, there on every machine, and INT8 where the CPU multiplies it fast."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from edgerd.bundle.manifest import EngineKey
from edgerd.errors import MissingDependencyError
from edgerd.graph_names import ANOMALY_MAP, FRAME, SCORE
from edgerd.paths import temporary_folder
from edgerd.runtimes.base import BaseEngine, BaseRuntime, Place
from edgerd.runtimes.interface import graph_size, library_errors, unreadable
from edgerd.runtimes.machine import cpu_features, cpu_name, int8_flavour
from edgerd.runtimes.protocol import Maps, Probe
from edgerd.types import UInt8Array

LIBRARY = "ONNX Runtime"
OPTIMISED_FILE = "optimised.onnx"
_PROVIDERS = ["CPUExecutionProvider"]
ERRORS_ONLY = 3
"""ONNX Runtime's log level: warnings are not shown."""
_FIX = "pip install onnxruntime"


class OnnxRuntime(BaseRuntime):
    """Runs the graph through ONNX Runtime's CPU provider; INT8 is a graph with Q/DQ nodes.

    `build` keeps the graph as the optimiser leaves it, its layout already the one this CPU's kernels want: it starts in
    about a quarter of the time and gives the same bits. Such a file fits one kind of CPU only, which the key guards.
    """

    name = "onnxruntime"
    library = LIBRARY

    def probe(self) -> Probe:
        """What this machine offers: FP32 always, INT8 where the CPU has instructions for it."""
        try:
            ort = import_onnxruntime()
        except MissingDependencyError as error:
            return Probe(version=None, reason=error.what, fix=_FIX)
        flavour = int8_flavour()
        if not flavour:
            reason = "int8 needs a CPU with AVX2, better VNNI, or with Arm's dot product"
            return Probe(version=ort.__version__, precisions=("fp32",), reason=reason)
        return Probe(version=ort.__version__, precisions=("fp32", "int8"), int8_flavour=flavour)

    def _place(self) -> Place:
        return Place(import_onnxruntime().__version__, cpu_name(), cpu_features())

    def _build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Keep the optimised graph: ONNX with ONNX Runtime's own operators in it."""
        del precision  # it is written into the graph
        ort = import_onnxruntime()
        with temporary_folder() as folder:
            file = folder / OPTIMISED_FILE
            options = session_options(ort, threads=1)
            options.optimized_model_filepath = str(file)
            _open_session(ort, graph, options, "The graph")
            return {OPTIMISED_FILE: file.read_bytes()}

    def _load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], threads: int) -> OnnxRuntimeEngine:
        ort = import_onnxruntime()
        options = session_options(ort, threads)
        if files:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # `build` has optimised it
            optimised = files.get(OPTIMISED_FILE, b"")
            return OnnxRuntimeEngine(_open_session(ort, optimised, options, OPTIMISED_FILE), key, threads)
        return OnnxRuntimeEngine(_open_session(ort, graph, options, "The graph"), key, threads)


class OnnxRuntimeEngine(BaseEngine):
    """An open session of ONNX Runtime on the CPU."""

    library = LIBRARY

    def __init__(self, session: Any, key: EngineKey, threads: int) -> None:
        super().__init__(key, threads, session_size(session))
        self._session = session
        self._refusals = refusals(import_onnxruntime())

    def _errors(self) -> AbstractContextManager[None]:
        return library_errors(self.library, "run", *self._refusals)

    def _infer(self, frames: UInt8Array) -> Maps:
        # Buffers bound in advance were no faster: ONNX Runtime reads the array in place, and the outputs are small.
        return Maps(*self._session.run([SCORE, ANOMALY_MAP], {FRAME: frames}))

    def _close(self) -> None:
        self._session = None


def import_onnxruntime() -> Any:
    """Import `onnxruntime`.

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"onnxruntime cannot be imported: {error}.", hint=_FIX) from error
    return onnxruntime


def session_options(ort: Any, threads: int) -> Any:
    """The options that every session is opened with."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Threads may spin between the operators of one picture, because that is fast. Between pictures they must sleep:
    # the camera, the preprocessing and the sinks need the cores then.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def session_size(session: Any) -> tuple[int, int]:
    """Height and width of the frames that a session takes.

    Raises:
        BundleDamagedError: It is not of a fused graph.
    """
    frame = session.get_inputs()[0]
    return graph_size(frame.name, frame.shape, {output.name for output in session.get_outputs()})


def refusals(ort: Any) -> tuple[type[Exception], ...]:
    """The exceptions that a session raises for a graph, or a run, that it refuses."""
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
