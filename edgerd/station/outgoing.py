"""Events on their way out: the outbox, and the sinks that it delivers to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from edgerd.delivery.deliverer import Deliverer
from edgerd.delivery.outbox import Outbox
from edgerd.errors import EdgerdError, StorageError
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


@dataclass(frozen=True)
class _Running:
    """An outbox and what delivers from it, with the tables of the recipe that they were opened by."""

    outbox: Outbox
    deliverer: Deliverer
    outbox_record: OutboxRecord
    sink_records: tuple[SinkRecord, ...]


_Held = tuple[tuple[Event, ...], dict[str, Mapping[str, Any] | None]]


class Outgoing:
    """Events go in, committed before anything is sent, and come out at every sink.

    `append` is for the thread that judges, the rest for any thread.

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
        self._swapping = threading.Lock()
        self._held: list[_Held] | None = None  # what came while there is no open outbox
        self._failure: EdgerdError | None = None  # why there is none, where it could not be opened again
        self._running = self._start(outbox, sinks, opened_sinks(sinks, self._cameras))

    @property
    def open_alerts(self) -> dict[str, Mapping[str, Any]]:
        """By camera, the alert that was open when the process before this one ended, as JSON has it."""
        return self._running.outbox.open_alerts()

    def append(self, events: Sequence[Event], open_alerts: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Take events, as `edgerd.line.record.EventLog` has it; never waits for a disk or a receiver.

        Raises:
            StorageError: The outbox could not be opened again after a change of sinks: nothing would be safe there.
        """
        with self._lock:
            if self._held is None:
                self._running.outbox.append(events, open_alerts)
                return
            self._held.append((tuple(events), dict(open_alerts)))
            if self._failure is not None:
                raise StorageError(
                    f"Events cannot be stored any more: {self._failure.what}",
                    expected=self._failure.expected,
                    hint=self._failure.hint,
                )

    def change_to(self, outbox: OutboxRecord, sinks: Sequence[SinkRecord]) -> None:
        """Go on with other sinks, or other settings of them; not from the thread that judges, since this waits.

        Events are committed all the time, but for the milliseconds in which the outbox is opened anew: what comes then
        is held in memory. Where the new sinks cannot be opened the old ones go on.

        Raises:
            InputError, MissingDependencyError, StorageError: As for a new one.
        """
        with self._swapping:
            opened = opened_sinks(sinks, self._cameras)
            self._running.deliverer.close(_SWAP_S)
            with self._lock:
                self._held = self._held or []
            self._running.outbox.close(_SWAP_S)
            try:
                self._running, self._failure = self._start(outbox, sinks, opened), None
            except BaseException:
                self._open_again()
                raise
            finally:
                self._append_what_was_held()

    def snapshot(self) -> tuple[SinkSnapshot, ...]:
        """How each sink does."""
        running = self._running  # one look: another thread may be changing the sinks
        return tuple(
            SinkSnapshot(status.name, _n_waiting(running.outbox, status.name), status.reason)
            for status in running.deliverer.status
        )

    @property
    def ill(self) -> str:
        """Why events do not get to the disk, one sentence; empty where they do."""
        if self._failure is not None:
            return self._failure.what
        health = self._running.outbox.health
        return "" if health.is_ok else health.reason

    def close(self, timeout_s: float = FLUSH_S) -> bool:
        """Commit and deliver what is left, after a change of sinks that is under way.

        Args:
            timeout_s: What a sink has not got by then waits in the outbox for the next process.

        Returns:
            Whether every sink has got all of it.
        """
        with self._swapping:
            if self._failure is not None:
                self._open_again()
                self._append_what_was_held()
            if self._held:
                n = sum(len(events) for events, _ in self._held)
                self._on_warning(f"{n} events were not stored: {self.ill}")
                return False
            return self._close(timeout_s)

    def _start(self, outbox: OutboxRecord, sinks: Sequence[SinkRecord], opened: Sequence[DeliveringSink]) -> _Running:
        """Open the outbox and deliver from it; the sinks are closed where that fails."""
        try:
            running = Outbox.open(
                outbox.path,
                [sink.name for sink in opened],
                on_warning=self._on_warning,
                make_room=self._make_room,
                retention_s=outbox.retention_days * _DAY_S,
            )
        except BaseException:
            for sink in opened:
                sink.close()
            raise
        return _Running(running, Deliverer(running, opened, on_warning=self._on_warning), outbox, tuple(sinks))

    def _open_again(self) -> None:
        """Go on as before, after the new sinks could not be opened; where not even that works, remember why."""
        sinks = self._running.sink_records
        try:
            opened = opened_sinks(sinks, self._cameras)
            self._running, self._failure = self._start(self._running.outbox_record, sinks, opened), None
        except EdgerdError as error:
            self._failure = error
            self._on_warning(f"The outbox cannot be opened again: {error.what}")

    def _append_what_was_held(self) -> None:
        if self._failure is not None:
            return
        with self._lock:
            held, self._held = self._held, None
            for events, open_alerts in held or []:
                self._running.outbox.append(events, open_alerts)

    def _close(self, timeout_s: float) -> bool:
        running = self._running
        running.outbox.flush(timeout_s)
        is_delivered = running.deliverer.close(timeout_s)
        return running.outbox.close(timeout_s) and is_delivered


def _n_waiting(outbox: Outbox, name: str) -> int:
    """How many events a sink has not got; 0 while the outbox cannot be read."""
    try:
        return outbox.waiting(name).n_events
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
        InputError: A sink cannot use its settings, or a secret is missing; those before it are closed again.
        MissingDependencyError: A library of a sink is not installed.
        StorageError: A file cannot be written.
    """
    with ExitStack() as stack:
        opened = []
        for record in records:
            opened.append(_sink(record, cameras))
            stack.callback(opened[-1].close)
        stack.pop_all()  # all are open, and stay so
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
