"""What a sink is: somewhere messages of a line go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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


class DeliveringSink(Protocol):
    """Takes events out of an outbox, in batches, on a thread of its own (`edgerd.delivery.Deliverer`).

    It may be opened while its receiver is away: only `deliver` connects.

    Attributes:
        name: What the outbox remembers it by, also after a restart; without secrets.
    """

    name: str

    def deliver(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Deliver events in their order; returns when the receiver has all of them.

        Must not block for more than some seconds: waiting and trying again is up to the caller. The receiver may get
        an event twice, always with the same `id` and `state`.

        Args:
            batch: JSON forms of events (`Event.to_json`), at least one.

        Raises:
            DeliveryError: The receiver did not take one of them; it says which, and whether to try again.
        """
        ...

    def close(self) -> None:
        """Let go of the receiver; safe to call twice."""
        ...
