"""Sinks: tables, the protocols, a fake, and one file per kind."""

from __future__ import annotations

from typing import Any, Final

from edgerd.sinks.protocol import DeliveringSink, Sink
from edgerd.tables import load

SINKS: Final = {
    "jsonl": "edgerd.sinks.jsonl:JsonlSink",
}
"""Name to "module:Class"; the class is called with the target: a path, an address."""

DELIVERING_SINKS: Final = {
    "jsonl": "edgerd.sinks.jsonl:JsonlSink",
    "mqtt": "edgerd.sinks.mqtt:MqttSink",
    "webhook": "edgerd.sinks.webhook:WebhookSink",
}
"""The same of those that an outbox delivers to; the class also takes settings by name."""

__all__ = ["DELIVERING_SINKS", "SINKS", "DeliveringSink", "Sink", "open_delivering_sink", "open_sink"]


def open_sink(name: str, target: str) -> Sink:
    """Open a sink.

    Args:
        name: Of `SINKS`.
        target: Where the messages go: for `jsonl` a path, or `-` for standard output.

    Raises:
        InputError: There is no such sink.
        StorageError: A file cannot be written.
    """
    sink: Sink = load(SINKS, name, "sink")(target)
    return sink


def open_delivering_sink(kind: str, target: str, **settings: Any) -> DeliveringSink:
    """Open a sink that an outbox delivers to; its receiver may be away.

    Args:
        kind: Of `DELIVERING_SINKS`.
        target: Where the events go: a path, an address.
        settings: Those of the class, by name.

    Raises:
        InputError: There is no such sink, or it cannot use the target or a setting.
        MissingDependencyError: A library that it needs is not installed.
        StorageError: A file cannot be written.
    """
    sink: DeliveringSink = load(DELIVERING_SINKS, kind, "sink")(target, **settings)
    return sink
