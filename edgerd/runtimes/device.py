"""What the camera loop asks of an engine on a GPU, beside `Engine`: work on its own stream, at its own addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from edgerd.cuda.context import Context
from edgerd.runtimes.protocol import Engine

Enqueue = Callable[[Any], None]
"""Puts one run of the engine on a `pycuda.driver.Stream`, always the same, and returns at once: no wait, and nothing is
allocated but in its first call. It may be captured into a graph after that one. Raises DeviceError where the engine
refuses."""


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine whose work can be put on a stream."""

    gpu: Context
    """Where it runs, open as long as the engine; in the thread that loaded it."""
    height: int
    width: int
    notes: list[str]
    """What is worth knowing about the way it runs, a sentence each."""

    def bind(self, tiles: int, score: int, anomaly_map: int, batch: int) -> Enqueue:
        """Work on these device addresses, with memory of its own: runs of two bindings may overlap on two streams.

        Args:
            tiles: uint8 (batch, H, W, 3), BGR, C-contiguous.
            score: float32 (batch,).
            anomaly_map: float32 (batch, H, W).
            batch: Tiles of one run.

        Raises:
            InputError: The engine was not built for so many.
            DeviceError: There is no memory for it.
        """
        ...
