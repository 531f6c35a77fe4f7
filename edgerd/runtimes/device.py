"""What the camera loop asks of an engine on a GPU beyond `Engine`: work on the loop's stream, at its addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from edgerd.cuda.context import Context
from edgerd.runtimes.protocol import Engine

Enqueue = Callable[[Any], None]
"""Puts one run of the engine on a `pycuda.driver.Stream`, always the same one, and returns without waiting for it.

Only the first call allocates memory; those after it may be captured into a graph. Raises DeviceError where the engine
refuses, and EdgerdError where it is closed.
"""


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine whose work can be put on a stream."""

    gpu: Context
    """Where it runs: open as long as the engine is, and used by the thread that loaded the engine."""
    height: int
    """Height of the frames, px."""
    width: int
    """Width of the frames, px."""
    notes: list[str]
    """What is worth knowing about the way it runs, a sentence each."""

    def bind(self, tiles: int, score: int, anomaly_map: int, batch: int) -> Enqueue:
        """Give the work of one run on these device addresses.

        Each binding has memory of its own, so that runs of two bindings may overlap on two streams.

        Args:
            tiles: Address of uint8 (batch, H, W, 3), BGR, C-contiguous.
            score: Address of float32 (batch,).
            anomaly_map: Address of float32 (batch, H, W).
            batch: Tiles of one run.

        Raises:
            InputError: The engine was not built for so many.
            DeviceError: There is no memory for it.
            EdgerdError: The engine is closed.
        """
        ...
