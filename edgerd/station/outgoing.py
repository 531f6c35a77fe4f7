"""Events on their way out: the outbox, and the sinks that it delivers to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from pydantic import SecretStr

from edgerd.delivery.deliverer import Deliverer
from edgerd.delivery.outbox import Outbox
from edgerd.errors import StorageError
from edgerd.events import Event
from edgerd.monitor.snapshot import SinkSnapshot
from edgerd.recipe.recipe import Outbox as OutboxRecord
from edgerd.recipe.secrets import read_secret
from edgerd.recipe.sinks import JsonlRecord, MqttRecord, WebhookRecord
from edgerd.recipe.sinks import Sink as SinkRecord
from edgerd.sinks import open_delivering_sink
from edgerd.sinks.protocol import DeliveringSink

FLUSH_S: Final = 5.0
"""At the end of a run, so long is waited for receivers; what they have not got waits in the outbox."""
_SWAP_S: Final = 2.0
_DAY_S: Final = 86_400.0


class Outgoing:
    """Events go in, committed before anything is sent, and come out at every sink; for one thread, but for `change_to`.

    Args:
        outbox: The recipe's table.
        sinks: The recipe's tables of sinks that are delivered to.
        cameras: Names of the cameras, for sinks that announce them.
        on_warning: Takes a sentence for people, from any thread.
        make_room: Frees space on a full disk; see `Outbox.open`.

    Raises:
        InputError: Another process has the outbox, or a sink cannot use its settings.
        MissingDependencyError: A library of a sink is not installed.
        StorageError: The outbox, or a file, cannot be written.
    """

    def __init__(
        self,
        outbox: OutboxRecord,
        sinks: Sequence[SinkRecord],
        cameras: Sequence[str],
        *,
        on_warning: Callable[[str], None],
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cameras = tuple(cameras)
        self._on_warning = on_warning
        self._make_room = make_room
        self._lock = threading.Lock()
        self._held: list[tuple[tuple[Event, ...], dict[str, Mapping[str, Any] | None]]] | None = None
        self._open(outbox, sinks)

    @property
    def open_alerts(self) -> dict[str, Mapping[str, Any]]:
        """By camera, the alert that was open when the process before this one ended, as JSON has it."""
        return self._outbox.open_alerts()

    def append(self, events: Sequence[Event], open_alerts: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Take events, as `edgerd.line.record.EventLog` has it; never waits for a disk or a receiver."""
        with self._lock:
            if self._held is None:
                self._outbox.append(events, open_alerts)
            else:
                self._held.append((tuple(events), dict(open_alerts)))

    def change_to(self, outbox: OutboxRecord, sinks: Sequence[SinkRecord]) -> None:
        """Go on with other sinks, or other settings of them; not from the thread that judges, since this waits.

        Events are committed all the time, but for the milliseconds in which the outbox is opened anew: what comes then
        is held in memory. Where the new sinks cannot be opened the old ones go on.

        Raises:
            InputError, MissingDependencyError, StorageError: As for a new one.
        """
        opened = opened_sinks(sinks, self._cameras)
        before = self._records
        self._deliverer.close(_SWAP_S)
        with self._lock:
            self._held = []
        try:
            self._outbox.close(_SWAP_S)
            try:
                self._start(outbox, sinks, opened)
            except BaseException:
                self._open(*before)
                raise
        finally:
            with self._lock:
                held, self._held = self._held, None
                for events, open_alerts in held or []:
                    self._outbox.append(events, open_alerts)

    def snapshot(self) -> tuple[SinkSnapshot, ...]:
        """How each sink does."""
        return tuple(
            SinkSnapshot(status.name, self._n_waiting(status.name), status.reason) for status in self._deliverer.status
        )

    @property
    def ill(self) -> str:
        """Why events do not get to the disk, one sentence; empty where they do."""
        health = self._outbox.health
        return "" if health.is_ok else health.reason

    def close(self, timeout_s: float = FLUSH_S) -> bool:
        """Commit and deliver what is left; returns whether every sink has got all of it."""
        return self._close(timeout_s)

    def _open(self, outbox: OutboxRecord, sinks: Sequence[SinkRecord]) -> None:
        self._start(outbox, sinks, opened_sinks(sinks, self._cameras))

    def _start(self, outbox: OutboxRecord, sinks: Sequence[SinkRecord], opened: Sequence[DeliveringSink]) -> None:
        self._records = (outbox, tuple(sinks))
        self._outbox = Outbox.open(
            outbox.path,
            [sink.name for sink in opened],
            on_warning=self._on_warning,
            make_room=self._make_room,
            retention_s=outbox.retention_days * _DAY_S,
        )
        self._deliverer = Deliverer(self._outbox, opened, on_warning=self._on_warning)

    def _close(self, timeout_s: float) -> bool:
        self._outbox.flush(timeout_s)
        is_delivered = self._deliverer.close(timeout_s)
        return self._outbox.close(timeout_s) and is_delivered

    def _n_waiting(self, name: str) -> int:
        try:
            return self._outbox.waiting(name).n_events
        except StorageError:
            return 0


def is_delivered_to(record: SinkRecord) -> bool:
    """Whether a sink gets events from the outbox; the others are links to PLCs."""
    return isinstance(record, (JsonlRecord, MqttRecord, WebhookRecord))


def opened_sinks(records: Sequence[SinkRecord], cameras: Sequence[str]) -> list[DeliveringSink]:
    """Open the sinks that an outbox delivers to; where one does not open, those before it are closed again.

    Args:
        records: The recipe's tables of such sinks.
        cameras: Names of the cameras, for sinks that announce them.

    Raises:
        InputError: A sink cannot use its settings, or a secret is missing.
        MissingDependencyError: A library of a sink is not installed.
        StorageError: A file cannot be written.
    """
    with ExitStack() as stack:
        opened = []
        for record in records:
            opened.append(_sink(record, cameras))
            stack.callback(opened[-1].close)
        stack.pop_all()  # all of them opened: from here on they are the caller's to close
    return opened


def _sink(record: SinkRecord, cameras: Sequence[str]) -> DeliveringSink:
    if isinstance(record, JsonlRecord):
        return open_delivering_sink("jsonl", str(record.path), name=record.name)
    if isinstance(record, WebhookRecord):
        secret = read_secret(record, "secret")
        return open_delivering_sink(
            "webhook",
            record.address(),
            name=record.name,
            secret=None if secret is None else SecretStr(secret),
            ca_file=record.ca_file,
        )
    assert isinstance(record, MqttRecord), record.type  # noqa: S101
    password = read_secret(record, "password")
    return open_delivering_sink(
        "mqtt",
        record.address,
        name=record.name,
        topic=record.topic,
        cameras=cameras,
        user=record.user,
        password=None if password is None else SecretStr(password),
        ca_file=record.ca_file,
    )
