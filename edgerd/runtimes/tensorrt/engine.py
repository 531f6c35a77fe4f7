"""Run an engine: enqueued on a stream at fixed addresses, or synchronously for callers that have no stream."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import tensorrt as trt

from edgerd.bundle.manifest import EngineKey
from edgerd.cuda.context import Context
from edgerd.cuda.memory import Memory
from edgerd.errors import BundleDamagedError, InputError
from edgerd.graph_names import ANOMALY_MAP, FRAME, SCORE
from edgerd.runtimes.base import BaseEngine
from edgerd.runtimes.device import Enqueue
from edgerd.runtimes.interface import closed, graph_size
from edgerd.runtimes.protocol import Maps
from edgerd.runtimes.tensorrt.library import LIBRARY
from edgerd.runtimes.tensorrt.log import Log, made, refusal
from edgerd.runtimes.tensorrt.values import extents
from edgerd.types import UInt8Array


class _Execution:
    """An execution context: the engine's memory for one run at a time.

    Attributes:
        batch: Tiles of one run.
        context: TensorRT's own.
    """

    def __init__(self, engine: trt.ICudaEngine, batch: int, tile: tuple[int, int, int], log: Log) -> None:
        self.context = made(engine.create_execution_context(), log, "activate the engine")
        # otherwise each layer of an engine with details opens and closes an NVTX range in every run
        self.context.nvtx_verbosity = trt.ProfilingVerbosity.NONE
        self._log = log
        self._tile = tile
        self.resize(batch)

    def resize(self, batch: int) -> None:
        """Run another number of tiles from now on; there is memory for as many as the engine takes.

        Raises:
            DeviceError: The number is outside of the engine's profile.
        """
        try:
            is_taken = self.context.set_input_shape(FRAME, (batch, *self._tile)) and not self.context.infer_shapes()
        except RuntimeError:  # how the bindings say that shapes do not go together
            is_taken = False
        if not is_taken:
            raise refusal(self._log.take(), f"take a batch of {batch}")
        self.batch = batch

    def bind(self, tiles: int, score: int, anomaly_map: int) -> Enqueue:
        """Work on these device addresses, once: a captured graph keeps them.

        Raises:
            DeviceError: TensorRT refuses one of them.
        """
        for name, address in ((FRAME, tiles), (SCORE, score), (ANOMALY_MAP, anomaly_map)):
            if not self.context.set_tensor_address(name, address):
                raise refusal(self._log.take(), f"take an address for {name}")
        return self._enqueue

    def _enqueue(self, stream: Any) -> None:
        if not self.context.execute_async_v3(stream.handle) or self._log.errors:
            raise refusal(self._log.take(), "run the engine")


class TensorRtEngine(BaseEngine):
    """A loaded plan, an `edgerd.runtimes.device.DeviceEngine`. Only the thread that loaded it may run or close it.

    Args:
        engine: The deserialised plan.
        gpu: Where it runs; closed with the engine.
        key: What it was opened under.
        log: The engine's.

    Attributes:
        gpu: Where it runs.
        height: Height of a tile, px.
        width: Width of a tile, px.
        min_batch: Fewest tiles that one run takes.
        max_batch: Most tiles that one run takes.
        notes: Always empty: there is nothing that a person would have to know.

    Raises:
        BundleDamagedError: It is no engine of a fused graph.
    """

    library = LIBRARY

    def __init__(self, engine: trt.ICudaEngine, gpu: Context, key: EngineKey, log: Log) -> None:
        self.height, self.width = size = _checked_interface(engine)
        super().__init__(key, 1, size)
        self.gpu = gpu
        self.notes: list[str] = []
        smallest, _, largest = engine.get_tensor_profile_shape(FRAME, 0)
        self.min_batch, self.max_batch = extents(smallest)[0], extents(largest)[0]
        self._engine: trt.ICudaEngine | None = engine
        self._log = log
        self._synchronous: _Synchronous | None = None

    def bind(self, tiles: int, score: int, anomaly_map: int, batch: int) -> Enqueue:
        """Work on these device addresses, as `DeviceEngine.bind` describes it.

        Args:
            tiles: Address of uint8 (batch, H, W, 3), BGR, C-contiguous.
            score: Address of float32 (batch,).
            anomaly_map: Address of float32 (batch, H, W).
            batch: Tiles of one run.

        Raises:
            InputError: The engine was not built for so many.
            DeviceError: There is no memory for it, or this is another thread.
            EdgerdError: The engine is closed.
        """
        return self.execution(batch).bind(tiles, score, anomaly_map)

    def execution(self, batch: int) -> _Execution:
        """An execution context for `batch` tiles.

        Raises:
            InputError: The engine was not built for so many.
            DeviceError: There is no memory for it.
        """
        if self._engine is None:
            raise closed()
        self.gpu.check_thread()
        if not self.min_batch <= batch <= self.max_batch:
            raise InputError(
                f"The engine takes {self.min_batch} to {self.max_batch} tiles at a time, not {batch}.",
                expected="an engine built for as many tiles or cameras as it shall run",
                hint=f"edgerd build-engine --runtime tensorrt --profile {min(self.min_batch, batch)}:{batch}:{batch}",
            )
        return _Execution(self._engine, batch, (self.height, self.width, 3), self._log)

    def _infer(self, frames: UInt8Array) -> Maps:
        """Run a batch; one that is larger than the engine's runs in parts."""
        self.gpu.check_thread()
        if self._synchronous is None:
            self._synchronous = _Synchronous(self)
        n_frames = len(frames)
        maps = Maps(np.empty(n_frames, np.float32), np.empty((n_frames, self.height, self.width), np.float32))
        for start in range(0, n_frames, self.max_batch):
            part = slice(start, start + self.max_batch)
            self._synchronous.run(frames[part], Maps(maps.score[part], maps.anomaly_map[part]))
        return maps

    def profiled(self, n_runs: int) -> dict[str, float]:
        """Run with TensorRT's profiler attached, on whatever lies in new memory: the times do not depend on it.

        Args:
            n_runs: How many runs are averaged over.

        Returns:
            Mean milliseconds per layer, by name.
        """
        if self._engine is None:
            raise closed()
        profiler = _LayerTimes()
        with closing(_Synchronous(self)) as synchronous:
            synchronous.warm_up()
            context = synchronous.execution.context
            context.nvtx_verbosity = trt.ProfilingVerbosity.DETAILED
            context.profiler = profiler
            synchronous.warm_up(n_runs)
        return {name: total / n_runs for name, total in profiler.total_ms.items()}

    def layer_information(self) -> str:
        """What TensorRT's engine inspector says of all layers, JSON; empty where it says nothing of this engine."""
        if self._engine is None:
            raise closed()
        execution = self.execution(self.max_batch)
        inspector: Any = self._engine.create_engine_inspector()
        if inspector is None:
            return ""
        inspector.execution_context = execution.context  # it tells formats for known shapes
        information = str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
        self._log.take()  # errors of the inspector are no errors of a run
        return information

    def _close(self) -> None:
        if self._synchronous is not None:
            self._synchronous.close()
        self._synchronous = None
        self._engine = None
        self.gpu.close()


class _Synchronous:
    """Runs an engine with pinned buffers and a stream of its own; all memory is allocated when it is made."""

    def __init__(self, engine: TensorRtEngine) -> None:
        n, height, width = engine.max_batch, engine.height, engine.width
        self._gpu = engine.gpu
        self._min_batch = engine.min_batch
        self.execution = engine.execution(n)
        self._memory = Memory(self._gpu)
        try:
            self._tiles = self._memory.frame(n * height * width * 3)
            self._score = self._memory.result((n,), np.float32)
            self._map = self._memory.result((n, height, width), np.float32)
            self._stream = self._gpu.stream()
        except BaseException:
            self._memory.free()
            raise
        self._memory.seal()
        self._enqueue = self.execution.bind(self._tiles.address, self._score.address, self._map.address)

    def run(self, frames: UInt8Array, results: Maps) -> None:
        """Fill `results` for `frames`, at most a batch."""
        n_frames = len(frames)
        batch = max(n_frames, self._min_batch)  # tiles beyond n_frames are those of an earlier run; nobody reads them
        if batch != self.execution.batch:
            self.execution.resize(batch)
        self._tiles.host[: frames.size] = frames.reshape(-1)
        with self._gpu.errors():
            self._tiles.upload(self._stream)
            self._enqueue(self._stream)
            self._score.download(self._stream)
            self._map.download(self._stream)
        self._gpu.synchronise(self._stream)
        results.score[:] = self._score.host[:n_frames]
        results.anomaly_map[:] = self._map.host[:n_frames]

    def warm_up(self, n_runs: int = 3) -> None:
        """Run a full batch several times, on whatever lies in memory."""
        for _ in range(n_runs):
            with self._gpu.errors():
                self._enqueue(self._stream)
            self._gpu.synchronise(self._stream)

    def close(self) -> None:
        """Free everything."""
        self._memory.free()


class _LayerTimes(trt.IProfiler):
    def __init__(self) -> None:
        super().__init__()
        self.total_ms: dict[str, float] = {}

    def report_layer_time(self, layer_name: str, ms: Any) -> None:
        self.total_ms[layer_name] = self.total_ms.get(layer_name, 0.0) + float(ms)


def _checked_interface(engine: trt.ICudaEngine) -> tuple[int, int]:
    """Height and width of an engine's tiles, checked to be of a fused graph with the types that our buffers have.

    Raises:
        BundleDamagedError: It is something else.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    first = inputs[0] if inputs else ""
    # the batch is free in the graph; a profile of one size makes it fixed in some versions' engines
    tile = extents(engine.get_tensor_shape(first))[1:] if inputs else ()
    size = graph_size(first, ("N", *tile), set(names) - set(inputs))
    expected: Mapping[str, trt.DataType] = {
        FRAME: trt.DataType.UINT8,
        SCORE: trt.DataType.FLOAT,
        ANOMALY_MAP: trt.DataType.FLOAT,
    }
    wrong = [name for name, dtype in expected.items() if engine.get_tensor_dtype(name) != dtype]
    if wrong:
        raise BundleDamagedError(
            f"The engine's {wrong[0]} is {engine.get_tensor_dtype(wrong[0])}.",
            expected=f"{FRAME} uint8, {SCORE} and {ANOMALY_MAP} float32",
            hint="Export the bundle again: edgerd export RUN -o BUNDLE",
        )
    return size
