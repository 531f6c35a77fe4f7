"""When a frame was captured: what its driver or stream says of it, where that can be true."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

MAX_AGE_S: Final = 1.0
"""A frame that is said to be older when it arrives comes from a clock that is wrong, or counts from another time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks.

    Attributes:
        at: Unix time in seconds, UTC.
        monotonic_s: The same on `time.monotonic()`'s clock.
    """

    at: float
    monotonic_s: float

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        return cls(time.time(), time.monotonic())


class CaptureClock:
    """Gives the frames of one source their capture times, which never go back and never lie in the future.

    Unix time goes back where the system's clock is set back.
    """

    def __init__(self) -> None:
        self._latest = Moment(0.0, 0.0)

    def captured(self, arrived: Moment, *ages_s: float | None) -> Moment:
        """When a frame was captured.

        Args:
            arrived: When its first bytes were there.
            ages_s: How old it was then, as its driver or stream says, the most exact first; None where one says
                nothing. What cannot be true (negative, not finite, more than `MAX_AGE_S`) does not count. Without any
                that counts it is the time of arrival.
        """
        age_s = next((age_s for age_s in ages_s if age_s is not None and 0 <= age_s <= MAX_AGE_S), 0.0)
        monotonic_s = min(max(arrived.monotonic_s - age_s, self._latest.monotonic_s), arrived.monotonic_s)
        at = min(max(arrived.at - (arrived.monotonic_s - monotonic_s), self._latest.at), arrived.at)
        self._latest = Moment(at, monotonic_s)
        return self._latest
