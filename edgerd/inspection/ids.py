"""Alert ids: UUIDv7, so that they sort in the order in which the alerts were raised."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

_RANDOM_BITS = 74
_MAX_STEP = 1 << 32


class _Uuid7:
    """RFC 9562, section 5.7, made monotonic by method 2 of section 6.2: within a millisecond the random part grows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unix_ms = 0
        self._random = 0

    def __call__(self) -> str:
        """A new UUIDv7 as text, larger than every one before it in this process, even if the clock is set back."""
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            self._random += 1 + secrets.randbelow(_MAX_STEP)
            if now_ms > self._unix_ms or self._random >> _RANDOM_BITS:
                self._unix_ms = max(now_ms, self._unix_ms + 1)
                self._random = secrets.randbits(_RANDOM_BITS)
            return str(_layout(self._unix_ms, self._random))


def _layout(unix_ms: int, random: int) -> uuid.UUID:
    """48 bits of milliseconds, version 7, 12 random bits, variant 2, 62 random bits."""
    high, low = random >> 62, random & ((1 << 62) - 1)
    return uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


uuid7 = _Uuid7()
"""One per process, so that the order holds across all its cameras; `uuid.uuid7` of Python 3.14 does the same."""
