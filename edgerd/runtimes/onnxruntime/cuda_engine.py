"""The engine of ONNX Runtime's CUDA provider: on the host's arrays, or put on a stream at given addresses."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from edgerd.bundle.manifest import EngineKey
from edgerd.cuda.context import Context
from edgerd.errors import DeviceError, DeviceLostError
from edgerd.graph_names import ANOMALY_MAP, FRAME, SCORE
from edgerd.runtimes.base import BaseEngine
from edgerd.runtimes.device import Enqueue
from edgerd.runtimes.interface import closed
from edgerd.runtimes.onnxruntime.cpu import ERRORS_ONLY, LIBRARY, session_options, session_size
from edgerd.runtimes.onnxruntime.cuda_errors import device_errors, failures, refused
from edgerd.runtimes.protocol import Maps
from edgerd.types import UInt8Array

PROVIDER = "CUDAExecutionProvider"
_OPTIONS = {
    "device_id": "0",
    "cudnn_conv_algo_search": "EXHAUSTIVE",  # shapes never change
    "arena_extend_strategy": "kSameAsRequested",  # a Jetson has no memory to spare
}
"""Options of the provider for every session; the address in `edgerd.runtimes.onnxruntime.cuda` explains them."""
_WITHOUT_CAPTURE, _UNTIL_CAPTURED = 2, 3
"""How many runs a new session needs before it can replay: first runs without a capture, in which it allocates memory,
because a capture forbids that; then runs that it counts until it captures, the last of which is captured."""
_REPLAYS_WITHOUT_WAITING = (1, 27)
"""The first version of ONNX Runtime that does not wait for the GPU after a replay."""


class OnnxRuntimeCudaEngine(BaseEngine):
    """A graph that is open on the GPU, a `edgerd.runtimes.device.DeviceEngine`.

    Each binding is a session with weights of its own: a session keeps to the stream that it was opened with.

    Attributes:
        gpu: Where it runs; closed with the engine.
        height: Height of the frames, px.
        width: Width of the frames, px.
        notes: What is worth knowing about the way it runs, a sentence each.
    """

    library = LIBRARY

    def __init__(self, ort: Any, gpu: Context, graph: bytes, key: EngineKey, threads: int) -> None:
        super().__init__(key, threads, None)
        self.gpu = gpu
        self.notes: list[str] = []
        self._ort = ort
        self._graph = graph
        self._session: Any = self.open_session({})
        self._runs: list[_StreamRun] = []
        self.size = self.height, self.width = session_size(self._session)

    def _errors(self) -> AbstractContextManager[None]:
        return device_errors(self._ort, self.gpu)

    def _infer(self, frames: UInt8Array) -> Maps:
        return Maps(*self._session.run([SCORE, ANOMALY_MAP], {FRAME: frames}))

    def bind(self, tiles: int, score: int, anomaly_map: int, batch: int, *, replay: bool = True) -> Enqueue:
        """Work on these device addresses, as `DeviceEngine.bind` describes it.

        Args:
            tiles: Address of uint8 (batch, H, W, 3), BGR, C-contiguous.
            score: Address of float32 (batch,).
            anomaly_map: Address of float32 (batch, H, W).
            batch: Tiles of one run.
            replay: Let ONNX Runtime capture the run and replay it with one call, where it can; else it enqueues kernel
                by kernel.

        Raises:
            EdgerdError: The engine is closed.
        """
        if self.is_closed:
            raise closed()
        if replay and _version(self._ort.__version__) < _REPLAYS_WITHOUT_WAITING and not self.notes:
            self.notes.append(
                f"ONNX Runtime {self._ort.__version__} waits for the GPU once more per frame; 1.27 and later do not."
            )
        self._runs.append(_StreamRun(self, self._ort, (tiles, score, anomaly_map), batch, replay))
        return self._runs[-1].enqueue

    def _close(self) -> None:
        """Let go of all sessions; nothing may be under way on the GPU."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        _let_go(self._session, self.gpu)
        self._session = None
        self.gpu.close()

    def open_session(self, more: dict[str, str]) -> Any:
        """A session of ONNX Runtime on the GPU, with these options of the provider beside the usual ones.

        Raises:
            DeviceError: The GPU refuses, or would not run all of the graph.
            BundleDamagedError: The graph cannot be read.
        """
        self._ort.set_default_logger_severity(ERRORS_ONLY)  # otherwise each session prints a warning when it opens
        options = session_options(self._ort, self.threads)
        options.enable_mem_pattern = False  # with it, memory is allocated in the second run too
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # In FP32 nothing may be rounded to TF32, because the gate compares with FP32. But without TF32 no convolution
        # runs on the tensor cores, those in FP16 neither; so in FP16 it is on, and the head's small products are TF32.
        precise = {"use_tf32": "0" if self.key.precision == "fp32" else "1"}
        try:
            # with a fallback the package would print the failure, and run on the CPU
            return self._ort.InferenceSession(
                self._graph, options, providers=[(PROVIDER, _OPTIONS | precise | more)], enable_fallback=0
            )
        except failures(self._ort) as error:
            raise refused(error, self.gpu) from error


class _StreamRun:
    """A session on one stream at given addresses, opened by the first run.

    Where it cannot replay a graph of its own it runs kernel by kernel, and the engine's notes say so.
    """

    def __init__(
        self, engine: OnnxRuntimeCudaEngine, ort: Any, addresses: tuple[int, int, int], batch: int, replay: bool
    ) -> None:
        self._engine, self._ort, self._gpu = engine, ort, engine.gpu
        self._addresses, self._batch, self._replay = addresses, batch, replay
        self._session: Any = None
        self._binding: Any = None
        self._options: Any = None
        self._stream: int | None = None
        self._is_closed = False

    def enqueue(self, stream: Any) -> None:
        """Put one run on the stream of the first run, and return at once; this is the engine's `Enqueue`.

        Raises:
            DeviceError: The GPU refuses; the stream is another one, or is being captured.
            EdgerdError: The engine is closed.
        """
        if self._is_closed:
            raise closed()
        if self._stream not in (None, stream.handle):
            raise DeviceError(
                "A run of ONNX Runtime was put on a second stream.", expected="the stream of its first run"
            )
        self._refuse_capture(stream)
        if self._session is None:
            self._begin(stream)
            return
        with device_errors(self._ort, self._gpu):
            self._session.run_with_iobinding(self._binding, self._options)

    def close(self) -> None:
        """Drop the session, so that it cannot run any more; safe to call twice."""
        session, self._session, self._binding = self._session, None, None
        self._is_closed = True
        _let_go(session, self._gpu)

    def _begin(self, stream: Any) -> None:
        if self._replay:
            try:
                self._open(stream, replay=True)
            except DeviceLostError:
                raise
            except DeviceError as error:
                self._end_capture(stream)
                self._session = self._binding = None
                self._engine.notes.append(f"ONNX Runtime runs kernel by kernel, it cannot replay them: {error.what}")
            else:
                return
        self._open(stream, replay=False)

    def _open(self, stream: Any, *, replay: bool) -> None:
        """Open the session, and run it until it has allocated all memory and made its capture."""
        more = {"user_compute_stream": str(stream.handle)} | ({"enable_cuda_graph": "1"} if replay else {})
        session, self._stream = self._engine.open_session(more), stream.handle
        with device_errors(self._ort, self._gpu):
            self._session, self._binding = session, self._bound(session)
            self._options = self._run_options("1" if replay else "")
            first = [self._run_options("-1")] * _WITHOUT_CAPTURE + [self._options] * _UNTIL_CAPTURED
            for options in first if replay else [self._options]:
                session.run_with_iobinding(self._binding, options)

    def _run_options(self, graph_id: str) -> Any:
        """Options of a run; as `graph_id`, "-1" captures nothing, and a session without graphs takes an empty one."""
        options = self._ort.RunOptions()
        # the run does not wait for the GPU: its caller waits for the stream, once per frame
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if graph_id:
            options.add_run_config_entry("gpu_graph_id", graph_id)
        return options

    def _bound(self, session: Any) -> Any:
        binding = session.io_binding()
        tiles, score, anomaly_map = self._addresses
        maps = [self._batch, self._engine.height, self._engine.width]
        binding.bind_input(FRAME, "cuda", 0, np.uint8, [*maps, 3], tiles)
        binding.bind_output(SCORE, "cuda", 0, np.float32, [self._batch], score)
        binding.bind_output(ANOMALY_MAP, "cuda", 0, np.float32, maps, anomaly_map)
        return binding

    def _refuse_capture(self, stream: Any) -> None:
        """Refuse a stream that is being captured: some releases of ONNX Runtime end the process there (its #32081)."""
        if self._is_capturing(stream):
            raise DeviceError(
                "ONNX Runtime's work cannot be captured by others.", expected="a stream that is not being captured"
            )

    def _is_capturing(self, stream: Any) -> bool:
        status = ctypes.c_int()
        code = self._gpu.driver.library.cuStreamIsCapturing(stream.handle, ctypes.byref(status))
        self._gpu.check(code, "cuStreamIsCapturing")
        return status.value != 0

    def _end_capture(self, stream: Any) -> None:
        """End a capture that ONNX Runtime began and left when it failed."""
        library, graph = self._gpu.driver.library, ctypes.c_void_p()
        if self._is_capturing(stream):
            library.cuStreamEndCapture(stream.handle, ctypes.byref(graph))
            if graph:
                library.cuGraphDestroy(graph)


def _let_go(session: Any, gpu: Context) -> None:
    """Drop a session; on a lost GPU it is never destroyed, because its destructor would end the process."""
    if session is not None and gpu.is_lost:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])
