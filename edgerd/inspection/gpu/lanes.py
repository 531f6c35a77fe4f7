"""What a frame passes through on the GPU: a lane (stream, engine, results), and the work from its buffer through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cuda.context import Context
from edgerd.cuda.graphs import Step
from edgerd.cuda.memory import Memory, PinnedBuffer
from edgerd.runtimes.device import DeviceEngine
from edgerd.types import Float32Array, UInt8Array

_ALIGNMENT = 256
"""Bytes; of addresses that TensorRT takes."""


class Lane:
    """A stream, and an engine that works on the tiles of this lane and leaves its results here.

    The tiles come back to the host in one copy with the scores: whether a frame is black or badly exposed is seen in
    them, as on the CPU.

    Attributes:
        stream: A `pycuda.driver.Stream`.
        tiles_address: Where the preprocessing kernel writes.
        tiles: uint8 (batch, H, W, 3), BGR, on the host; valid after `wait`, until the next run.
        score: float32 (batch,), likewise.
        anomaly_map: float32 (batch, H, W), likewise.
        engine_ms: Of the last run, milliseconds on the GPU; None without `profile`.
    """

    def __init__(
        self, engine: DeviceEngine, memory: Memory, spec: PreprocessSpec, batch: int, *, profile: bool = False
    ) -> None:
        """Allocate, and bind the engine.

        Raises:
            InputError: The engine does not take so many tiles.
            DeviceError: The GPU does not have enough memory.
        """
        self._gpu = engine.gpu
        self.stream = self._gpu.stream()
        shape = (batch, spec.height, spec.width)
        tiles_at = -(-4 * batch // _ALIGNMENT) * _ALIGNMENT
        self._head = memory.result((tiles_at + 3 * int(np.prod(shape)),), np.uint8)
        self._map = memory.result(shape, np.float32)
        self.tiles_address = self._head.address + tiles_at
        self.tiles: UInt8Array = self._head.host[tiles_at:].reshape(*shape, 3)
        self.score: Float32Array = self._head.host[: 4 * batch].view(np.float32)
        self.anomaly_map: Float32Array = self._map.host
        self._enqueue = engine.bind(self.tiles_address, self._head.address, self._map.address, batch)
        with self._gpu.errors():
            self._events = [self._gpu.cuda.Event() for _ in range(2 if profile else 0)]

    def infer(self) -> None:
        """Enqueue the engine."""
        self._enqueue(self.stream)

    def download(self) -> None:
        """Enqueue the copies of scores, tiles and maps to the host."""
        self._head.download(self.stream)
        self._map.download(self.stream)

    def mark(self, number: int) -> None:
        """Note when the stream gets here: 0 before the engine, 1 behind it."""
        with self._gpu.errors():
            self._events[number].record(self.stream)

    @property
    def engine_ms(self) -> float | None:
        """See the class."""
        if not self._events:
            return None
        with self._gpu.errors():
            return float(self._events[1].time_since(self._events[0]))

    def wait(self) -> None:
        """Wait for everything on the stream.

        Raises:
            DeviceError: Something failed there.
        """
        self._gpu.synchronise(self.stream)


class FrameWork:
    """Everything for one frame: upload, preprocessing, engine, download; captured once, replayed per frame.

    Where the lane is profiled it is three graphs with an event between two of them.

    Attributes:
        reason: Why it is not a graph; empty where it is one.
    """

    def __init__(
        self,
        gpu: Context,
        lane: Lane,
        frame: PinnedBuffer,
        kernel: Callable[[Any], None],
        *,
        capture: bool,
        profile: bool,
    ) -> None:
        """Run it once, and capture it.

        Args:
            gpu: The lane's.
            lane: Nothing may be under way on it.
            frame: Where the frame lies.
            kernel: Enqueues the preprocessing from that frame to the lane's tiles.
            capture: False to enqueue each time.
            profile: Let the lane measure the engine.

        Raises:
            DeviceError: The work fails.
        """
        self._lane = lane

        def prepare() -> None:
            frame.upload(lane.stream)
            kernel(lane.stream)

        def everything() -> None:
            prepare()
            lane.infer()
            lane.download()

        parts: Sequence[Callable[[], None]] = (prepare, lane.infer, lane.download) if profile else (everything,)
        self._steps: list[Step] = []
        try:
            for part in parts:
                self._steps.append(Step(gpu, lane.stream, part, capture=capture))
        except BaseException:
            self.close()
            raise
        self.reason = next((step.reason for step in self._steps if not step.is_graph), "")

    def launch(self) -> None:
        """Enqueue it.

        Raises:
            DeviceError: The GPU refuses, or is lost.
        """
        if len(self._steps) == 1:
            self._steps[0].launch()
            return
        before, engine, after = self._steps
        before.launch()
        self._lane.mark(0)
        engine.launch()
        self._lane.mark(1)
        after.launch()

    def close(self) -> None:
        """Free the graphs; safe to call twice. Nothing may be under way on the lane."""
        for step in self._steps:
            step.close()
