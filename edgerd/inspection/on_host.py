"""Frames judged by an engine that takes arrays: prepared here, inferred, and done when `submit` returns."""

from __future__ import annotations

import time

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import bgr_from_frame, prepare
from edgerd.inspection.judge import Judge, Pending, elapsed_ms
from edgerd.inspection.slots import Buffers
from edgerd.runtimes.protocol import Engine
from edgerd.types import Frame, Inspection


class HostInspection:
    """The way of a camera's frames over the CPU; the same members as `DeviceInspection`.

    Args:
        engine: Open; stays open.
        judge: Makes verdicts of the engine's maps and scores.
        spec: The preprocessing.

    Attributes:
        judge: Makes verdicts; another one may be put here, for the frames that are submitted from then on.
        depth: Frames that may be under way at once.
        buffers: None: frames may lie anywhere.
        notes: None.
    """

    depth = 1
    buffers: Buffers | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, engine: Engine, judge: Judge, spec: PreprocessSpec) -> None:
        self._engine = engine
        self.judge = judge
        self._spec = spec

    def submit(self, frame: Frame) -> Pending:
        """Judge a frame; it is done when this returns."""
        return Pending.done(self._inspect(frame))

    def beside(self, judge: Judge, spec: PreprocessSpec) -> HostInspection:
        """The way of another camera's frames to the same engine."""
        return HostInspection(self._engine, judge, spec)

    def warm_up(self, n: int) -> None:
        """Run a grey picture through the engine n times."""
        tiles = np.full((self._spec.n_tiles, self._spec.height, self._spec.width, 3), 128, np.uint8)
        for _ in range(n):
            self._engine.infer(tiles)

    def keep_warm(self) -> None:
        """A CPU needs nothing."""

    def close(self) -> None:
        """There is nothing to free."""

    def _inspect(self, frame: Frame) -> Inspection:
        started_s = time.perf_counter()
        tiles = prepare(bgr_from_frame(frame, self._spec), self._spec)
        badly_exposed = self.judge.exposure(tiles, started_s)
        if badly_exposed:
            return badly_exposed
        asked_s = time.perf_counter()
        maps = self._engine.infer(tiles)
        engine_ms = elapsed_ms(asked_s)
        return self.judge.decide(maps, frame, started_s, engine_ms)
