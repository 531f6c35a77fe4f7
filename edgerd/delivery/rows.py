"""What goes into the outbox's database, and what comes out of it: plain values, without SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that waits for a sink.

    Attributes:
        number: Place in the order of appending, from 1.
        event: Its JSON form, as it was appended.
    """

    number: int
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a sink has refused for good.

    Attributes:
        number: What `edgerd outbox` calls it by.
        sink: Name of the sink.
        event: Its JSON form.
        reason: Why it was refused, without secrets.
        refused_at: Unix seconds, UTC.
    """

    number: int
    sink: str
    event: Mapping[str, Any]
    reason: str
    refused_at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one sink.

    Attributes:
        n_events: How many events it has not got yet.
        oldest_at: When the oldest of them was appended, Unix seconds, UTC; None where there is none.
    """

    n_events: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True)
class Appended:
    """Events that belong together, and what they make of alerts.

    Attributes:
        events: As JSON, in order.
        open_alerts: By camera, the state of its alert; None where the alert is over. Both as JSON.
        appended_at: Unix seconds, UTC.
        waits_since_s: The same moment on the monotonic clock.
    """

    events: tuple[str, ...]
    open_alerts: Mapping[str, str | None]
    appended_at: float
    waits_since_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sink has refused an event."""

    sink: str
    number: int
    reason: str
    refused_at: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transaction writes.

    Attributes:
        sinks: Names of sinks that are new; they get what stands in `appended`, and what follows.
        appended: Events.
        refusals: Of them.
        cursors: By sink, the number of the last event that it has settled.
    """

    sinks: Sequence[str] = ()
    appended: Sequence[Appended] = ()
    refusals: Sequence[Refusal] = ()
    cursors: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sinks or self.appended or self.refusals or self.cursors)
