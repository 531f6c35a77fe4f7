"""A counter that goes on only while somebody says that he is alive."""

from __future__ import annotations


class Heartbeat:
    """Counts calls of `alive`, at most one every half time-out.

    Nothing but these calls moves the counter, so it stands still from the moment that the line stops calling. A PLC
    that sees no change for the whole time-out knows that the line is dead.

    Args:
        timeout_s: For how long the counter may stand still while the line is alive.

    Attributes:
        count: 0 to 65535, then 0 again.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.count = 0
        self._counted_s: float | None = None
        self._alive_s: float | None = None

    def alive(self, now_s: float) -> None:
        """The line is alive.

        Args:
            now_s: Seconds of a monotonic clock.
        """
        self._alive_s = now_s
        if self._counted_s is None or now_s - self._counted_s >= self.timeout_s / 2:
            self._counted_s = now_s
            self.count = (self.count + 1) & 0xFFFF

    def is_alive(self, now_s: float) -> bool:
        """Whether `alive` was called within the time-out before `now_s`; False before the first call."""
        return self._alive_s is not None and now_s - self._alive_s < self.timeout_s
