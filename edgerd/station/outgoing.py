"""Events on their way out: the outbox, and the sinks that it delivers to."""

from __future__ import annotations

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
"""How long the end of a run waits for receivers; what they have not got by then waits in the outbox."""
_SWAP_S: Final = 2.0
"""How long a change of sinks waits for the disk, and then how long the sinks that leave may still deliver."""
_DAY_S: Final = 86_400.0


class Outgoing:
    """Commits events to the outbox, and delivers them from there to every sink.

    All but `change_to` is for one thread.

    Args:
        outbox: The recipe's table `[outbox]`.
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
        self._records = {record.name: record for record in sinks}
        opened = opened_sinks(sinks, cameras)
        self._outbox = Outbox.open(
            outbox.path,
            [sink.name for sink in opened],
            on_warning=on_warning,
            make_room=make_room,
            retention_s=outbox.retention_days * _DAY_S,
        )
        self._deliverer = Deliverer(self._outbox, opened, on_warning=on_warning)

    @property
    def open_alerts(self) -> dict[str, Mapping[str, Any]]:
        """By camera, the alert that was open when the process before this one ended, as JSON has it."""
        return self._outbox.open_alerts()

    def append(self, events: Sequence[Event], open_alerts: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Take events, as an `edgerd.line.record.EventLog` does; never waits for a disk or a receiver."""
        self._outbox.append(events, open_alerts)

    def change_to(self, outbox: OutboxRecord, sinks: Sequence[SinkRecord]) -> None:
        """Go on with other sinks, or with other settings of them. It waits, so the thread that judges must not call it.

        Events are committed all the while, and sinks that stay as they are notice nothing. Where an error is raised,
        nothing was changed.

        Raises:
            InputError: A new sink cannot use its settings, or a secret is missing.
            MissingDependencyError: A library of a new sink is not installed.
            StorageError: A new sink's file cannot be written, or the outbox cannot take its name.
        """
        new = {record.name: record for record in sinks}
        begin = opened_sinks(
            [record for name, record in new.items() if self._records.get(name) != record], self._cameras
        )
        try:
            self._outbox.add_sinks([sink.name for sink in begin], _SWAP_S)
        except StorageError:
            for sink in begin:
                sink.close()
            raise
        leave = [name for name, record in self._records.items() if new.get(name) != record]
        self._deliverer.change(leave, begin, _SWAP_S)
        self._outbox.leave_sinks([name for name in leave if name not in new])
        self._outbox.keep_for(outbox.retention_days * _DAY_S)
        self._records = new

    def snapshot(self) -> tuple[SinkSnapshot, ...]:
        """How each sink does."""
        return tuple(
            SinkSnapshot(status.name, self._n_waiting(status.name), status.reason) for status in self._deliverer.status
        )

    @property
    def ill(self) -> str:
        """Why events do not reach the disk, one sentence; empty where they do."""
        health = self._outbox.health
        return "" if health.is_ok else health.reason

    def close(self, timeout_s: float = FLUSH_S) -> bool:
        """Commit and deliver what is left, with a warning for each sink that did not get all.

        Returns:
            Whether every sink has got everything.
        """
        self._outbox.flush(timeout_s)
        is_delivered = self._deliverer.close(timeout_s)
        for sink in self.snapshot():
            if sink.waiting:
                events = "1 event waits" if sink.waiting == 1 else f"{sink.waiting} events wait"
                self._on_warning(f"{events} for {sink.name}: the next run with this outbox delivers what is left.")
        return self._outbox.close(timeout_s) and is_delivered

    def _n_waiting(self, name: str) -> int:
        try:
            return self._outbox.waiting(name).n_events
        except (StorageError, KeyError):  # the outbox cannot be read, or the sink was removed a moment ago
            return 0


def is_delivered_to(record: SinkRecord) -> bool:
    """Whether a sink gets events from the outbox; the others are links to PLCs."""
    return isinstance(record, (JsonlRecord, MqttRecord, WebhookRecord))


def opened_sinks(records: Sequence[SinkRecord], cameras: Sequence[str]) -> list[DeliveringSink]:
    """Open the sinks that an outbox delivers to.

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
        stack.pop_all()  # all are open; had one not opened, the stack would have closed those before it
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
