"""A counter that goes on only while somebody says that he is alive."""

from __future__ import annotations

from typing import Final

from edgerd.errors import InputError

_LONGEST_TIMEOUT_S: Final = 60.0
"""In milliseconds it must fit into a register."""


class Heartbeat:
    """Counts calls of `alive`, at most one every half time-out.

    Nothing but these calls moves the counter, so it stands still from the moment that the line stops calling. A PLC
    that sees no change for the whole time-out knows that the line is dead.

    Args:
        timeout_s: For how long the counter may stand still while the line is alive; more than 0, at most 60.

    Attributes:
        count: 0 to 65535, then 0 again.

    Raises:
        InputError: The time-out is something else.
    """

    def __init__(self, timeout_s: float) -> None:
        if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
            raise InputError(
                f"A heartbeat cannot have a time-out of {timeout_s:g} seconds.",
                expected=f"more than 0 and at most {_LONGEST_TIMEOUT_S:g} seconds",
            )
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
