"""A camera that gives frames from memory, over and over: what `edgerd bench` measures with."""

from __future__ import annotations

import time
from collections.abc import Sequence

from edgerd.types import Frame, UInt8Array


class MemoryCamera:
    """Gives `n_frames` frames, taking turns through the ones it was given.

    Args:
        frames: uint8 (h, w, 3), BGR, all of one size.
        n_frames: How many to give.
    """

    uri = "memory://"
    live = False
    fixed_size = True
    n_frames: int | None

    def __init__(self, frames: Sequence[UInt8Array], n_frames: int) -> None:
        self.n_frames = n_frames
        self._frames = frames
        self._left = n_frames
        self._number = 0

    def read(self) -> Frame | None:
        """The next frame, captured now."""
        if self._left == 0:
            return None
        self._left -= 1
        number, self._number = self._number, self._number + 1
        return Frame(
            data=self._frames[number % len(self._frames)],
            number=number,
            captured_at=time.time(),
            captured_monotonic_s=time.monotonic(),
            source=self.uri,
        )

    def close(self) -> None:
        """End."""
        self._left = 0
