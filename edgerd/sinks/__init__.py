"""Sinks: their table, the protocols, a fake, and one file per kind."""

from __future__ import annotations

from typing import Any, Final

from edgerd.sinks.protocol import DeliveringSink
from edgerd.tables import load

DELIVERING_SINKS: Final = {
    "jsonl": "edgerd.sinks.jsonl:JsonlSink",
    "mqtt": "edgerd.sinks.mqtt:MqttSink",
    "webhook": "edgerd.sinks.webhook:WebhookSink",
}
"""Name to "module:Class", of the sinks that an outbox delivers to. The class is called with the target, which is a path
or an address, and with its settings by name."""

__all__ = ["DELIVERING_SINKS", "open_delivering_sink"]


def open_delivering_sink(kind: str, target: str, **settings: Any) -> DeliveringSink:
    """Open a sink that an outbox delivers to; its receiver may be away.

    Args:
        kind: An entry of `DELIVERING_SINKS`.
        target: Where the events go: a path or an address.
        settings: Settings of the sink's class, by name.

    Raises:
        InputError: There is no such sink, or it cannot use the target or a setting.
        MissingDependencyError: A library that it needs is not installed.
        StorageError: A file cannot be written.
    """
    sink: DeliveringSink = load(DELIVERING_SINKS, kind, "sink")(target, **settings)
    return sink
