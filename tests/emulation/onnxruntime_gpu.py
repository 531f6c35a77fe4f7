"""A stand-in for the package onnxruntime-gpu over the emulated GPU: its API and its rules, CPU arithmetic."""

from __future__ import annotations

import ctypes
import itertools
from types import SimpleNamespace

import onnx
import onnxruntime

from .driver import ILLEGAL_ADDRESS
from .plans import Calculator, tensors_of

KNOWN = {"device_id", "use_tf32", "cudnn_conv_algo_search", "arena_extend_strategy", "user_compute_stream"}
KNOWN |= {"enable_cuda_graph"}
FALLBACK = "This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been"


class EmulatedOnnxRuntime:
    """Stands for the module; put it into `sys.modules`.

    Attributes:
        sessions: All that were opened.
        failure: What runs say instead of running; empty for none. As in the package, `run` raises an exception of its
            own, `run_with_iobinding` the built-in RuntimeError.
        refusal: What opening a session raises; None for nothing.
    """

    __version__ = "1.31.1"
    cuda_version = "12.6"
    SessionOptions, RunOptions = onnxruntime.SessionOptions, onnxruntime.RunOptions
    capi = onnxruntime.capi

    def __init__(self, emulation) -> None:
        self.emulation = emulation
        self.sessions: list[Session] = []
        self.failure = ""
        self.refusal: Exception | None = None
        self.default_severity = 2

    def get_available_providers(self) -> list[str]:
        return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    def set_default_logger_severity(self, severity: int) -> None:
        self.default_severity = severity

    def InferenceSession(self, content, options, *, providers, enable_fallback):  # noqa: N802
        ((name, given),) = providers
        assert name == "CUDAExecutionProvider"
        assert enable_fallback == 0
        assert set(given) <= KNOWN
        assert all(isinstance(value, str) for value in given.values())
        assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
        assert self.default_severity >= 3, "each session that opens prints a warning"
        if self.refusal:
            raise self.refusal
        self.sessions.append(Session(self, content, given))
        return self.sessions[-1]

    def fail(self, kind: type[Exception], prefix: str) -> None:
        if self.failure:
            raise kind(f"{prefix}{self.failure}")


class Session:
    """An InferenceSession. `runs` counts those on a stream, by graph id."""

    jobs = itertools.count()

    def __init__(self, ort, content, given) -> None:
        self.ort, self.given = ort, given
        self._cpu = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        model = onnx.load_from_string(content)
        if model.opset_import[0].version > 19 and any(node.op_type == "ReduceMax" for node in model.graph.node):
            raise ort.capi.onnxruntime_pybind11_state.Fail(FALLBACK)
        self._tensors = {tensor.name: tensor for tensor in tensors_of(model)}
        self._calculator = Calculator(content, self._tensors)
        self._captured: dict[str, dict[str, int]] = {}
        self.runs: dict[str, int] = {}
        self._kept = []
        self.get_inputs, self.get_outputs = self._cpu.get_inputs, self._cpu.get_outputs

    def run(self, names, feeds):
        states = self.ort.capi.onnxruntime_pybind11_state
        is_of_provider = "CUDNN Frontend" in self.ort.failure
        self.ort.fail(states.EPFail if is_of_provider else states.Fail, "[ONNXRuntimeError] : 1 : FAIL : ")
        return self._cpu.run(names, feeds)

    def io_binding(self):
        bound = SimpleNamespace(addresses={}, shapes={})

        def bind(name, device, number, dtype, shape, address):
            assert (device, number) == ("cuda", 0)
            assert self._tensors[name].dtype == dtype
            bound.addresses[name] = address
            bound.shapes[name] = tuple(shape)

        bound.bind_input = bound.bind_output = bind
        return bound

    def run_with_iobinding(self, bound, options) -> None:
        self.ort.fail(RuntimeError, "Error in execution: ")
        stream = ctypes.c_void_p(int(self.given["user_compute_stream"]))
        library, world = self.ort.emulation.driver.library, self.ort.emulation.world
        if library.emulation_is_capturing(stream):
            world.failures.append("ONNX Runtime was run while its stream was captured: the process would have ended")
        assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        number = ""
        if self.given.get("enable_cuda_graph") == "1":
            number = options.get_run_config_entry("gpu_graph_id")
            kept = self._captured.setdefault(number, bound.addresses)  # a replay reads and writes where it was captured
            assert kept == bound.addresses
        self.runs[number] = self.runs.get(number, 0) + 1
        run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64)(lambda _: self._calculate(bound))
        self._kept.append(run)
        assert library.emulation_give_engine(stream, run, ctypes.c_uint64(next(self.jobs))) == 0

    def _calculate(self, bound) -> int:
        if not self._calculator.can_reach(self.ort.emulation.driver, bound.addresses, bound.shapes):
            return ILLEGAL_ADDRESS
        self._calculator.run(bound.addresses, {"frame": bound.shapes["frame"]})
        return 0
