"""What the camera loop asks of an engine on a GPU, beside `Engine`: work on its own stream, at its own addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from edgerd.cuda.context import Context
from edgerd.runtimes.protocol import Engine

Enqueue = Callable[[Any], None]
"""Puts one run of the engine on a `pycuda.driver.Stream` and returns at once: no wait, and nothing is allocated but in
its first call. It may be captured into a graph after that one. Raises DeviceError where the engine refuses."""


class Execution(Protocol):
    """An engine's memory for one run at a time; runs of two executions may overlap on two streams."""

    batch: int
    """Tiles of one run."""

    def bind(self, tiles: int, score: int, anomaly_map: int) -> Enqueue:
        """Work on these device addresses. An execution may be bound several times: once for each slot that it serves.

        Args:
            tiles: uint8 (batch, H, W, 3), BGR, C-contiguous.
            score: float32 (batch,).
            anomaly_map: float32 (batch, H, W).
        """
        ...


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine whose work can be put on a stream."""

    gpu: Context
    """Where it runs, open as long as the engine; in the thread that loaded it."""
    height: int
    width: int

    def execution(self, batch: int) -> Execution:
        """A new execution for `batch` tiles per run.

        Raises:
            InputError: The engine was not built for so many.
            DeviceError: There is no memory for it.
        """
        ...

    def bind(self, tiles: int, score: int, anomaly_map: int, batch: int) -> Enqueue:
        """`execution(batch).bind(...)`: work with an execution of its own."""
        ...
