"""Frames judged by an engine on a GPU: submitted in order, several under way at once where the mode allows it.

Lanes are for work: each has a stream, an execution of the engine and its results; all cameras of an engine share them.
Slots are for frames: each has a buffer in pinned memory and its counterpart on the device, and per slot and lane
everything from the frame's upload to the results' download is captured as one graph. In mode `latency` there is one
lane, and one frame is under way at a time: it has the GPU to itself. In mode `throughput` there are several, and the
upload of a frame overlaps the inference of the one before.
"""

from __future__ import annotations

import time

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.inspection.gpu.lanes import Lane, Lanes
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.gpu.pools import CameraPools, FramePool
from edgerd.inspection.judge import Judge, Pending
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.protocol import Maps
from edgerd.types import Frame, Inspection


class DeviceInspection:
    """Judges one camera's frames by an engine on a GPU.

    Args:
        engine: Open; stays open.
        judge: Makes verdicts of the engine's maps and scores.
        spec: The preprocessing.
        options: How to use the GPU; None for the defaults.
        lanes: The lanes of another camera with the same engine, to be shared; None for new ones.

    Attributes:
        judge: Makes verdicts; another one may be put here, for the frames that are submitted from then on.

    Raises:
        InputError: The engine does not take as many tiles as a frame has.
        DeviceError: The GPU does not have enough memory.
    """

    def __init__(
        self,
        engine: DeviceEngine,
        judge: Judge,
        spec: PreprocessSpec,
        options: DeviceOptions | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self._engine = engine
        self.judge = judge
        self._shares = lanes is not None
        self._lanes = lanes or Lanes(engine, spec, options or DeviceOptions())
        self._pools = CameraPools(self._lanes, spec)

    def beside(self, judge: Judge, spec: PreprocessSpec) -> DeviceInspection:
        """Judge another camera's frames on the same lanes; what this returns is to be closed before this one."""
        return DeviceInspection(self._engine, judge, spec, lanes=self._lanes)

    @property
    def depth(self) -> int:
        """Frames that may be under way at once, over all cameras of the engine."""
        return self._lanes.options.depth

    @property
    def buffers(self) -> CameraPools:
        """Buffers in pinned memory, from which the GPU reads this camera's frames without a copy on the host."""
        return self._pools

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how the GPU is used, a sentence each."""
        return (*self._lanes.notes, *self._engine.notes)

    def submit(self, frame: Frame) -> Pending:
        """Begin to judge a frame, as `Inspector.submit` describes."""
        started_s = time.perf_counter()
        pool = self._pools.pool_for(frame)
        number = self._lanes.next()
        lane = self._lanes[number]
        slot, is_copy = pool.claim(frame.data)
        judge, copied_to = self.judge, slot if is_copy else None
        try:
            pool.works[slot][number].launch()
            lane.under_way = pending = Pending(lambda: _finish(judge, frame, pool, copied_to, lane, started_s))
        except BaseException:
            if is_copy:
                pool.release(slot)
            raise
        return pending

    def warm_up(self, n: int) -> None:
        """Make the kernels and run the engine n times, so that the first frames are not slow."""
        self._lanes.warm_up(n)

    def keep_warm(self) -> None:
        """Run the engine once while no frame is there, so that the GPU keeps its clocks up."""
        self._lanes.keep_warm()

    def close(self) -> None:
        """Free the buffers, and the lanes unless they are another camera's; safe to call twice.

        Frames under way on lanes of its own are dropped. On lanes of another camera they are judged first, because
        there may be frames of that camera among them.
        """
        if self._shares:
            self._lanes.settle()
            self._pools.free()
        else:
            self._lanes.drop()
            self._pools.free()
            self._lanes.close()


def _finish(
    judge: Judge, frame: Frame, pool: FramePool, copied_to: int | None, lane: Lane, started_s: float
) -> Inspection:
    """Wait for a frame's results and judge them, then free the slot that the frame was copied to."""
    try:
        lane.wait()
        # On the CPU a badly exposed frame does not reach the engine. Here it has been through it, which is not counted.
        badly_exposed = judge.exposure(lane.tiles, started_s)
        if badly_exposed:
            return badly_exposed
        maps = Maps(lane.score, lane.anomaly_map.copy())
        return judge.decide(maps, frame, started_s, lane.engine_ms)
    finally:
        if copied_to is not None:
            pool.release(copied_to)
