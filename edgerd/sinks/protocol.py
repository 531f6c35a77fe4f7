"""What a sink is: somewhere messages of a line go."""

from __future__ import annotations

from typing import Protocol

from edgerd.events import Message


class Sink(Protocol):
    """Takes messages one at a time.

    Attributes:
        name: What people call it: a file's path, an address.
    """

    name: str

    def send(self, message: Message) -> None:
        """Deliver one message; returns when it is safe with the receiver.

        Args:
            message: An event, or what was found in one frame.

        Raises:
            StorageError: It could not be written.
        """
        ...

    def close(self) -> None:
        """Flush and let go; safe to call twice."""
        ...
