"""Where an engine runs on a GPU: lanes, each with a stream, memory for the engine, and the results of one frame."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cuda.kernels.preprocess import make_kernels
from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceLostError
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.judge import Pending
from edgerd.runtimes.device import DeviceEngine
from edgerd.types import Float32Array, UInt8Array

_ALIGNMENT = 256
"""TensorRT wants addresses that are multiples of this many bytes."""


class Lane:
    """A stream, and an engine that works on the tiles of this lane and leaves its results here.

    The tiles come back to the host in one copy with the scores, because they show whether a frame is black or badly
    exposed, as on the CPU.

    Attributes:
        stream: A `pycuda.driver.Stream`.
        tiles_address: Where the preprocessing kernel writes.
        tiles: uint8 (tiles, H, W, 3), BGR, on the host; valid after `wait`, until the next run.
        score: float32 (tiles,), on the host; valid as long as `tiles`.
        anomaly_map: float32 (tiles, H, W), on the host; valid as long as `tiles`.
        under_way: The frame that was launched here last; its results are to be read before the next launch.
    """

    def __init__(self, engine: DeviceEngine, memory: Memory, spec: PreprocessSpec, *, profile: bool = False) -> None:
        """Allocate, and bind the engine.

        Args:
            engine: Open; stays open.
            memory: Holds tiles and results.
            spec: The preprocessing, which says how many tiles a frame has.
            profile: Measure the engine with two events.

        Raises:
            InputError: The engine does not take so many tiles.
            DeviceError: The GPU does not have enough memory.
        """
        self.under_way: Pending | None = None
        self._gpu = engine.gpu
        self.stream = self._gpu.stream()
        n_tiles = spec.n_tiles
        shape = (n_tiles, spec.height, spec.width)
        tiles_at = -(-4 * n_tiles // _ALIGNMENT) * _ALIGNMENT
        self._head = memory.result((tiles_at + 3 * int(np.prod(shape)),), np.uint8)
        self._map = memory.result(shape, np.float32)
        self.tiles_address = self._head.address + tiles_at
        self.tiles: UInt8Array = self._head.host[tiles_at:].reshape(*shape, 3)
        self.score: Float32Array = self._head.host[: 4 * n_tiles].view(np.float32)
        self.anomaly_map: Float32Array = self._map.host
        self._enqueue = engine.bind(self.tiles_address, self._head.address, self._map.address, n_tiles)
        with self._gpu.errors():
            self._events = [self._gpu.cuda.Event() for _ in range(2 if profile else 0)]

    def infer(self) -> None:
        """Enqueue a run of the engine on the tiles."""
        self._enqueue(self.stream)

    def download(self) -> None:
        """Enqueue the copies of scores, tiles and maps to the host."""
        self._head.download(self.stream)
        self._map.download(self.stream)

    def mark(self, number: int) -> None:
        """Have the stream note the time when it gets here: 0 before the engine, 1 behind it. Only with `profile`."""
        with self._gpu.errors():
            self._events[number].record(self.stream)

    @property
    def engine_ms(self) -> float | None:
        """Milliseconds that the last run of the engine took on the GPU; None without `profile`."""
        if not self._events:
            return None
        with self._gpu.errors():
            return float(self._events[1].time_since(self._events[0]))

    def wait(self) -> None:
        """Wait for everything on the stream.

        Raises:
            DeviceError: Something on the stream failed, or the GPU is lost.
        """
        self._gpu.synchronise(self.stream)

    def settle(self) -> None:
        """Read the results of the frame that was launched here last; where it failed, its `Pending` says so.

        Raises:
            KeyboardInterrupt: The wait was interrupted.
        """
        if self.under_way is not None:
            self.under_way.settle()
            self.under_way = None

    def run_engine(self) -> None:
        """Run the engine on what lies in the tiles, and wait; no frame may be under way here.

        Raises:
            DeviceError: It fails, or the GPU is lost.
        """
        with self._gpu.errors():
            self.infer()
        self.wait()


class Lanes:
    """The lanes of an engine, which all its cameras share: one in mode `latency`, `depth` of them in `throughput`.

    Frames take them in turn, so that the next lane is always that of the oldest frame under way.

    Attributes:
        options: How the GPU is used.
        gpu: Where the engine runs.
        notes: What is worth knowing, a sentence each.
    """

    def __init__(self, engine: DeviceEngine, spec: PreprocessSpec, options: DeviceOptions) -> None:
        """Allocate what does not depend on the frames' size and format.

        Args:
            engine: Open; stays open.
            spec: The preprocessing, which says how many tiles a frame has.
            options: How to use the GPU.

        Raises:
            InputError: The engine does not take as many tiles as a frame has.
            DeviceError: The GPU does not have enough memory.
        """
        self.options = options
        self.gpu = engine.gpu
        self.notes: list[str] = []
        self._memory = Memory(self.gpu)
        self._turn = 0
        self.gpu.wait_by(options.wait)
        try:
            self._lanes = [Lane(engine, self._memory, spec, profile=options.profile) for _ in range(options.depth)]
        except BaseException:
            self._memory.free()
            raise
        self._memory.seal()

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def __getitem__(self, number: int) -> Lane:
        return self._lanes[number]

    def next(self) -> int:
        """The number of the lane whose turn it is, after the results of the frame that was under way there are read."""
        number = self._turn
        self._lanes[number].settle()
        self._turn = (number + 1) % len(self._lanes)
        return number

    def settle(self) -> None:
        """Wait for all frames under way, and read their results."""
        for lane in self._lanes:
            lane.settle()

    def warm_up(self, n: int) -> None:
        """Make the kernels, and run the engine n times on each lane; no frame may be under way.

        Raises:
            MissingDependencyError: No compiler for this GPU's kernels is installed.
            DeviceError: The engine fails, or the GPU is lost.
        """
        make_kernels(self.gpu)
        for _ in range(n):
            for lane in self._lanes:
                lane.run_engine()

    def keep_warm(self) -> None:
        """Run the engine once, where the options ask for it; no frame may be under way.

        One lane is enough: a frame that comes meanwhile has to wait for one run, and not for one on each lane.

        Raises:
            DeviceError: The GPU is lost.
        """
        if self.options.keep_warm:
            self._lanes[0].run_engine()

    def drop(self) -> None:
        """Wait until nothing is under way, without reading the results of the frames that were."""
        for lane in self._lanes:
            lane.under_way = None
        if not self.gpu.is_lost:
            with contextlib.suppress(DeviceLostError):
                for lane in self._lanes:
                    lane.wait()

    def close(self) -> None:
        """Free the lanes; safe to call twice. Nothing may be under way, and no graph may be left that uses them."""
        self._lanes = []
        self._memory.free()
