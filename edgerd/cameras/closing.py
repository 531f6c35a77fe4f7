"""Let go of a device from any thread, and never while another thread reads it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class Handle:
    """An open device, file or connection that one thread reads and any thread may close.

    Releasing a device during a read crashes some drivers, and waiting for a read may take for ever. So it is released
    by whoever comes last: by `close`, or, where a read was under way, by that read on its way out.

    Args:
        release: Lets go; called once.

    Attributes:
        closed: Set as soon as `close` was called.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self.closed = threading.Event()
        self._release = release
        self._is_released = False
        self._in_use = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the device open while it is read; check `closed` inside, before the device is touched."""
        try:
            with self._in_use:
                yield
        finally:
            # Only after the lock is free: a `close` that came before this line could not take it, one that comes
            # after it can.
            self._release_if_closed()

    def close(self) -> None:
        """Release the device now, or as soon as the read that is under way returns; safe to call twice."""
        self.closed.set()
        self._release_if_closed()

    def _release_if_closed(self) -> None:
        if self.closed.is_set() and self._in_use.acquire(blocking=False):
            try:
                if not self._is_released:
                    self._is_released = True
                    self._release()
            finally:
                self._in_use.release()
