"""A sink that keeps what it was sent, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgerd.errors import StorageError
from edgerd.events import Message


class FakeSink:
    """Collects messages in `events`, each in its JSON form.

    Args:
        capacity: From then on it is full and raises StorageError; None for never. May be changed at any time.

    Attributes:
        n_refused: Messages that it did not take.
    """

    name = "the fake sink"

    def __init__(self, capacity: int | None = None) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.closed = False
        self.capacity = capacity
        self.n_refused = 0

    def send(self, message: Message) -> None:
        """Keep one message."""
        if self.capacity is not None and len(self.events) >= self.capacity:
            self.n_refused += 1
            raise StorageError("The fake sink is full.")
        self.events.append(message.to_json())

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
