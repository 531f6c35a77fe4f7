"""What a sink is: somewhere events go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Sink(Protocol):
    """Takes events one at a time."""

    def send(self, event: Mapping[str, Any]) -> None:
        """Deliver one event; returns when it is safe with the receiver.

        Raises:
            StorageError: It could not be written.
        """
        ...

    def close(self) -> None:
        """Flush and let go; safe to call twice."""
        ...
