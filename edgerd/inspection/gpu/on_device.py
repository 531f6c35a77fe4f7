"""Frames judged by an engine on a GPU: submitted in order, several under way at once where the mode allows it."""

from __future__ import annotations

import time
from collections import deque

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.inspection.gpu.frame_slots import layout_of
from edgerd.inspection.gpu.step import DeviceOptions, DeviceStep, Ticket
from edgerd.inspection.judge import Judge, Pending
from edgerd.inspection.slots import Buffers
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.protocol import Maps
from edgerd.types import Frame, Inspection


class DeviceInspection:
    """The way of a frame over the GPU.

    Args:
        engine: Open; stays open.
        judge: Says what the engine's answers mean.
        spec: The preprocessing.
        options: How to use the GPU; the defaults where None.

    Attributes:
        step: Its slots are where frames lie best.

    Raises:
        InputError: The engine does not take as many tiles as a frame has.
        DeviceError: The GPU does not have enough memory.
    """

    def __init__(
        self, engine: DeviceEngine, judge: Judge, spec: PreprocessSpec, options: DeviceOptions | None = None
    ) -> None:
        self.step = DeviceStep(engine, spec, options)
        self._engine = engine
        self._judge = judge
        self._under_way: deque[Pending] = deque()

    @property
    def depth(self) -> int:
        """See `Inspector.depth`."""
        return self.step.options.depth

    @property
    def buffers(self) -> Buffers:
        """See `Inspector.buffers`."""
        return self.step

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Inspector.notes`."""
        return (*self.step.notes, *self._engine.notes)

    def submit(self, frame: Frame) -> Pending:
        """See `Inspector.submit`."""
        started_s = time.perf_counter()
        layout = layout_of(frame)
        fits = self.step.fits(layout)
        self._settle(self.depth - 1 if fits else 0)
        if not fits:
            self.step.prepare_for(layout)
        ticket = self.step.launch(frame.data)
        pending = Pending(lambda: self._finish(frame, ticket, started_s))
        self._under_way.append(pending)
        return pending

    def warm_up(self, n: int) -> None:
        """See `Inspector.warm_up`."""
        self.step.warm_up(n)

    def keep_warm(self) -> None:
        """See `Inspector.keep_warm`."""
        self.step.keep_warm()

    def close(self) -> None:
        """Free the step; safe to call twice. Frames that are under way are dropped."""
        self._under_way.clear()
        self.step.close()

    def _settle(self, n_left: int) -> None:
        """Judge the oldest until so many are under way: results lie in the lane only until the next frame's come.

        Whoever asks for them finds them, and what failed fails there.
        """
        while self._under_way and (self._under_way[0].is_done or len(self._under_way) > n_left):
            self._under_way[0].settle()
            self._under_way.popleft()

    def _finish(self, frame: Frame, ticket: Ticket, started_s: float) -> tuple[Inspection, float | None]:
        try:
            ticket.wait()
            lane = ticket.lane
            # on the CPU such a frame does not reach the engine; here it has been through it, which is not counted
            badly_exposed = self._judge.exposure(lane.tiles, started_s)
            if badly_exposed:
                return badly_exposed, None
            maps = Maps(lane.score, lane.anomaly_map.copy())
            return self._judge.decide(maps, frame, started_s), lane.engine_ms
        finally:
            ticket.release()
