"""The engine of ONNX Runtime's CUDA provider: on the host's arrays, or put on a stream at given addresses."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgerd.cuda.context import Context
from edgerd.errors import DeviceError, DeviceLostError, EdgerdError
from edgerd.manifest import EngineKey
from edgerd.runtimes.device import Enqueue
from edgerd.runtimes.interface import ANOMALY_MAP, FRAME, SCORE, check_frames, closed, frame_size, unreadable
from edgerd.runtimes.onnxruntime import refusals, session_options
from edgerd.runtimes.protocol import Maps
from edgerd.types import UInt8Array

PROVIDER = "CUDAExecutionProvider"
_OPTIONS = {
    "device_id": "0",
    "cudnn_conv_algo_search": "EXHAUSTIVE",  # shapes never change
    "arena_extend_strategy": "kSameAsRequested",  # a Jetson has no memory to spare
}
"""Of the provider, for every session; see the address in `onnxruntime_cuda`."""
_OUT_OF_MEMORY = 2
_ERRORS_ONLY = 3
_FAILURE = re.compile(r"\bCU[A-Z_]+ failure -?\d+: [^;\n]*")
"""In ONNX Runtime's messages: "CUDA failure 700: ...", CUBLAS, CUDNN, CUDNN_FE; around it are file names and hosts."""
_LONGEST = 300
_WARM_UP = 3
"""Runs until a session replays a graph of its own: it allocates in the first, and captures in the second or third."""


class OnnxRuntimeCudaEngine:
    """An open graph. See `DeviceEngine`.

    Each execution is a session with weights of its own: a session keeps to the stream that it was opened with.

    Attributes:
        key: What it was opened under.
        threads: CPU threads, for what little is left to them.
        gpu: Where it runs; closed with the engine.
        height: Of the frames.
        width: Likewise.
    """

    def __init__(self, ort: Any, gpu: Context, graph: bytes, key: EngineKey, threads: int) -> None:
        self.key = key
        self.threads = threads
        self.gpu = gpu
        self._ort = ort
        self._graph = graph
        self._session: Any = self._open({})
        self._executions: list[OnnxRuntimeCudaExecution] = []
        frame = self._session.get_inputs()[0]
        outputs = {output.name for output in self._session.get_outputs()}
        self.height, self.width = frame_size(frame.name, frame.shape, outputs)

    def infer(self, frames: UInt8Array) -> Maps:
        """See `Engine.infer`.

        Raises:
            DeviceError: The GPU refuses, or is lost.
        """
        if self._session is None:
            raise closed()
        check_frames(frames, self.height, self.width)
        with _device_errors(self._ort, self.gpu):
            return Maps(*self._session.run([SCORE, ANOMALY_MAP], {FRAME: frames}))

    def execution(self, batch: int, *, own_graph: bool = True, allow_capture: bool = False) -> OnnxRuntimeCudaExecution:
        """See `DeviceEngine.execution`.

        Args:
            batch: Tiles of one run.
            own_graph: Let ONNX Runtime capture each binding's run and replay it with one call; else it enqueues kernel
                by kernel. Replaying waits for the GPU in versions before 1.27, which costs one synchronisation more.
            allow_capture: Let others capture the run into a graph of theirs, without `own_graph`. ONNX Runtime was
                not made for it: releases were seen to end the process (github.com/microsoft/onnxruntime/pull/32081).
        """
        if self._session is None:
            raise closed()
        options = {"enable_cuda_graph": "1"} if own_graph else {}

        def open_session(stream: int) -> Any:
            return self._open({"user_compute_stream": str(stream), **options})

        size = (self.height, self.width)
        execution = OnnxRuntimeCudaExecution(self._ort, self.gpu, open_session, batch, size, own_graph, allow_capture)
        self._executions.append(execution)
        return execution

    def bind(self, tiles: int, score: int, anomaly_map: int, batch: int) -> Enqueue:
        """See `DeviceEngine.bind`."""
        return self.execution(batch).bind(tiles, score, anomaly_map)

    def close(self) -> None:
        """See `Engine.close`. Nothing may be under way on the GPU."""
        for execution in self._executions:
            execution.close()
        self._executions.clear()
        self._session = None
        self.gpu.close()

    def _open(self, more: dict[str, str]) -> Any:
        self._ort.set_default_logger_severity(_ERRORS_ONLY)  # each session that opens would print a warning
        options = session_options(self._ort, self.threads)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # In FP32 nothing is rounded to TF32: it is what the gate compares with. Switched off, though, it keeps every
        # convolution from the tensor cores, those in FP16 too; there the head's small products are TF32.
        precise = {"use_tf32": "0" if self.key.precision == "fp32" else "1"}
        try:
            # without enable_fallback=0 a failure is printed and the CPU takes over
            return self._ort.InferenceSession(
                self._graph, options, providers=[(PROVIDER, _OPTIONS | precise | more)], enable_fallback=0
            )
        except _failures(self._ort) as error:
            raise _refused(error, self.gpu) from error


class OnnxRuntimeCudaExecution:
    """A session on one stream, opened by its first run. See `Execution`.

    Attributes:
        batch: Tiles of one run.
    """

    def __init__(
        self,
        ort: Any,
        gpu: Context,
        open_session: Callable[[int], Any],
        batch: int,
        size: tuple[int, int],
        own_graph: bool,
        allow_capture: bool,
    ) -> None:
        self.batch = batch
        self._ort, self._gpu, self._open_session = ort, gpu, open_session
        self._size, self._own_graph, self._allow_capture = size, own_graph, allow_capture
        self._session: Any = None
        self._stream: int | None = None
        self._numbers = itertools.count(1)

    def bind(self, tiles: int, score: int, anomaly_map: int) -> Enqueue:
        """See `Execution.bind`."""
        options = self._run_options(next(self._numbers))
        binding: Any = None

        def enqueue(stream: Any) -> None:
            nonlocal binding
            self._check_stream(stream)
            with _device_errors(self._ort, self._gpu):
                if binding is None:
                    binding = self._binding(stream.handle, tiles, score, anomaly_map)
                    for _ in range(_WARM_UP - 1 if self._own_graph else 0):
                        self._session.run_with_iobinding(binding, options)
                self._session.run_with_iobinding(binding, options)

        return enqueue

    def close(self) -> None:
        """Let go of the session; safe to call twice. What was bound cannot run any more."""
        self._session = self._open_session = None  # type: ignore[assignment]

    def _run_options(self, number: int) -> Any:
        options = self._ort.RunOptions()
        # the caller waits for its stream, once per frame
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self._own_graph:
            options.add_run_config_entry("gpu_graph_id", str(number))
        return options

    def _check_stream(self, stream: Any) -> None:
        if self._open_session is None:
            raise closed()
        if self._stream not in (None, stream.handle):
            raise DeviceError(
                "An execution of ONNX Runtime was put on a second stream.", expected="the stream of its first run"
            )
        if not self._allow_capture and self._is_capturing(stream):
            raise DeviceError(
                "ONNX Runtime's work cannot be captured by others.", expected="a stream that is not being captured"
            )

    def _is_capturing(self, stream: Any) -> bool:
        status = ctypes.c_int()
        code = self._gpu.driver.library.cuStreamIsCapturing(stream.handle, ctypes.byref(status))
        self._gpu.check(code, "cuStreamIsCapturing")
        return status.value != 0

    def _binding(self, stream: int, tiles: int, score: int, anomaly_map: int) -> Any:
        if self._session is None:
            self._session, self._stream = self._open_session(stream), stream
        binding = self._session.io_binding()
        maps = [self.batch, *self._size]
        binding.bind_input(FRAME, "cuda", 0, np.uint8, [*maps, 3], tiles)
        binding.bind_output(SCORE, "cuda", 0, np.float32, [self.batch], score)
        binding.bind_output(ANOMALY_MAP, "cuda", 0, np.float32, maps, anomaly_map)
        return binding


def _failures(ort: Any) -> tuple[type[Exception], ...]:
    """What opening and running raise; the built-in one comes from providers and from runs with bindings."""
    return (*refusals(ort), ort.capi.onnxruntime_pybind11_state.EPFail, RuntimeError)


def _refused(error: Exception, gpu: Context) -> EdgerdError:
    """The error for a session that does not open."""
    text = str(error)
    if "fallback to CPU EP" in text:
        return DeviceError(
            "ONNX Runtime does not run all of this graph on the GPU.",
            expected="a driver as new as the package's CUDA, and operators that the package has for CUDA",
            hint="What it printed above says why; edgerd doctor.",
        )
    is_of_gpu = isinstance(error, RuntimeError) or _FAILURE.search(text) or "Failed to allocate memory" in text
    return _device_error(error, gpu) if is_of_gpu else unreadable("The graph", error)


@contextlib.contextmanager
def _device_errors(ort: Any, gpu: Context) -> Iterator[None]:
    """Turn what a run raises into DeviceError."""
    try:
        yield
    except _failures(ort) as error:
        raise _device_error(error, gpu) from error


def _device_error(error: Exception, gpu: Context) -> EdgerdError:
    """The error for what ONNX Runtime says of the GPU, which is noted as lost where it is."""
    text, call = str(error).strip(), "ONNX Runtime's run"
    number = re.search(r"CUDA failure (\d+)", text)
    described = re.search(r"CUDA error cuda\w+:(.+)", text)
    if number:  # the runtime's codes are the driver's, as far as they matter here
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
