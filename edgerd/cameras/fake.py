"""A camera from a list, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from edgerd.types import Frame, UInt8Array


class FakeCamera:
    """Gives what stands in its script: an array becomes a frame, a frame is given as it is, an error is raised.

    Args:
        script: What each `read` gives, in order; then None. May be endless.
        live: Whether it says that it is live.
        fixed_size: Whether it says that all of its frames have one size.
        n_frames: How many frames it announces; None for no announcement.
        uri: The address that it shows.
        stall: Whether `read` blocks after the script until the camera is closed, as the driver of a camera does that
            is gone.
    """

    def __init__(
        self,
        script: Iterable[UInt8Array | Frame | Exception],
        *,
        live: bool = False,
        fixed_size: bool = True,
        n_frames: int | None = None,
        uri: str = "fake://",
        stall: bool = False,
    ) -> None:
        self.uri = uri
        self.live = live
        self.fixed_size = fixed_size
        self.n_frames = n_frames
        self.closed = threading.Event()
        self._stall = stall
        self._script: Iterator[UInt8Array | Frame | Exception] = iter(script)
        self._number = 0

    def read(self) -> Frame | None:
        """The next entry of the script."""
        entry = None if self.closed.is_set() else next(self._script, None)
        if entry is None:
            if self._stall:
                self.closed.wait()
            return None
        number = self._number
        self._number += 1
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, Frame):
            return entry
        return Frame(
            data=entry,
            number=number,
            captured_at=time.time(),
            captured_monotonic_s=time.monotonic(),
            source=self.uri,
        )

    def close(self) -> None:
        """End; wakes a `read` that blocks."""
        self.closed.set()
