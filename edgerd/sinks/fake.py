"""A sink that keeps what it was sent, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgerd.errors import StorageError


class FakeSink:
    """Collects events in `events`.

    Args:
        capacity: From then on it is full and raises StorageError; None for never.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.closed = False
        self._capacity = capacity

    def send(self, event: Mapping[str, Any]) -> None:
        """Keep one event."""
        if self._capacity is not None and len(self.events) >= self._capacity:
            raise StorageError("The fake sink is full.")
        self.events.append(dict(event))

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
