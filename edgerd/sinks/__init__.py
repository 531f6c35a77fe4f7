"""Sinks: a table, the protocol, a fake, and one file per kind."""

from __future__ import annotations

from typing import Final

from edgerd.sinks.protocol import Sink
from edgerd.tables import load

SINKS: Final = {
    "jsonl": "edgerd.sinks.jsonl:JsonlSink",
}
"""Name to "module:Class"; the class is called with the target: a path, an address."""

__all__ = ["SINKS", "Sink", "open_sink"]


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
