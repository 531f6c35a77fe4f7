"""The outbox: events are on the disk, with the state of the alerts, before anything is sent."""

from __future__ import annotations

import contextlib
import json
import shlex
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgerd.delivery.database import Database
from edgerd.delivery.opening import DATABASE_FILE, IN_USE, database_errors, is_damage, open_database, reopen
from edgerd.delivery.reserve import Reserve
from edgerd.delivery.rows import Appended, Refusal, StoredEvent, Waiting
from edgerd.delivery.writer import Health, Writer, says_full
from edgerd.errors import InputError, StorageError
from edgerd.events import Event
from edgerd.storage import only_writer_of

RETENTION_S: Final = 7 * 86400.0
"""How long events stay that every sink has: long enough to look into what happened last weekend."""
_LAST_WORDS_S = 1.0


class Outbox:
    """Events of the lines of one process, committed to a database in the order of appending; see `Outbox.open`.

    `append` only hands over to a thread that writes, and never waits for a disk. That thread commits whatever has come
    in the meantime as one transaction, again and again: an event is on the disk a few milliseconds after it was
    appended, or after the transaction before it. What cannot be committed stays in memory, is counted in `health`, and
    is tried again until it can.

    What a sink has is remembered as one number, its cursor: it has settled (got, or refused for good) every event up
    to there. The cursor moves in memory at once and on the disk soon after. If the process is killed in between, the
    next one delivers those events again.
    """

    def __init__(
        self,
        database: Database,
        sinks: Sequence[str],
        *,
        resources: contextlib.ExitStack,
        reserve: Reserve,
        on_warning: Callable[[str], None],
        make_room: Callable[[], bool],
        retention_s: float,
    ) -> None:
        self._database = database
        self._warn = on_warning
        self._resources = resources
        cursors = database.cursors()
        self._cursors = {name: cursors[name] for name in sinks}
        self._open_alerts = database.open_alerts()
        self._listeners: list[Callable[[], None]] = []
        self._writer = Writer(
            database,
            reserve,
            on_commit=self._ring,
            mend=lambda: reopen(database, self._cursors, on_warning),
            on_warning=on_warning,
            make_room=make_room,
            retention_s=retention_s,
        )

    @classmethod
    def open(
        cls,
        folder: Path,
        sinks: Sequence[str],
        *,
        on_warning: Callable[[str], None],
        make_room: Callable[[], bool] = lambda: False,
        retention_s: float = RETENTION_S,
    ) -> Outbox:
        """Open an outbox, checked; make it where there is none.

        Args:
            folder: Where its files are; nothing else should be there. One process at a time can have it. On a local
                file system: SQLite's log does not work over a network.
            sinks: Names of those that events are for. A new one gets what is appended from now on. What waits for one
                that was here before and is not named now keeps waiting, and a warning says so.
            on_warning: Takes a sentence for people, from any thread; must not raise.
            make_room: Called when the disk is full and nothing is left to free in the folder, here and later from the
                writing thread; returns whether it could free some space, such as the oldest pictures of good parts.
            retention_s: How long events stay that every sink has.

        Raises:
            InputError: Another process has it; it was written by a newer edgerd; or two sinks have one name.
            StorageError: It cannot be read or written.
        """
        if twice := [name for name, n in Counter(sinks).items() if n > 1]:
            raise InputError(
                f"Two sinks are called {twice[0]!r}.",
                expected="a name of its own for each, since the outbox remembers by it what a sink has",
            )
        reserve = Reserve(folder)
        with contextlib.ExitStack() as stack:
            with database_errors(folder):
                try:
                    database = _opened(stack, folder, sinks, on_warning)
                except (OSError, sqlite3.Error) as error:
                    if not (says_full(error) and (reserve.release() or make_room())):
                        raise
                    database = _opened(stack, folder, sinks, on_warning)
                _warn_of_other_sinks(database, sinks, on_warning)
            reserve.fill()
            return cls(
                database,
                sinks,
                resources=stack.pop_all(),
                reserve=reserve,
                on_warning=on_warning,
                make_room=make_room,
                retention_s=retention_s,
            )

    @property
    def sinks(self) -> tuple[str, ...]:
        """Names of those that events are for."""
        return tuple(self._cursors)

    @property
    def health(self) -> Health:
        """Whether events get to the disk, and how many do not."""
        return self._writer.health

    def append(
        self, events: Sequence[Event], open_alerts: Mapping[str, Mapping[str, Any] | None] | None = None
    ) -> None:
        """Hand over events, and the state of alerts after them; both are committed in one transaction or not at all.

        Never waits for a disk. Where too much waits in memory already, they are lost, and counted in `health`.

        Args:
            events: In the order in which they happened.
            open_alerts: By camera, what a line needs to continue its alert after a restart, as JSON has it (id, time
                of the raise); None where the alert is over. Cameras that are not named stay as they are.

        Raises:
            ValueError: A number is not finite, which JSON cannot say; or the outbox is closed.
        """
        self._writer.append(
            Appended(
                tuple(_json(event.to_json()) for event in events),
                {
                    _json(camera): None if state is None else _json(state)
                    for camera, state in (open_alerts or {}).items()
                },
                appended_at=time.time(),
                waits_since_s=time.monotonic(),
            )
        )

    def open_alerts(self) -> dict[str, Mapping[str, Any]]:
        """By camera, the state of each alert that was open when the process before this one ended."""
        return dict(self._open_alerts)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was appended or settled is on the disk; returns whether it is."""
        return self._writer.flush(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flush, stop writing, and let the folder go; returns whether all was committed. Safe to call twice."""
        is_flushed = self.flush(timeout_s)
        if self._writer.close(_LAST_WORDS_S):  # else the disk hangs, and nothing can be closed
            self._resources.close()
        return is_flushed

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a function after each commit, from the writing thread; it must return at once."""
        self._listeners.append(listener)

    def off_commit(self, listener: Callable[[], None]) -> None:
        """Call a function no more after commits."""
        self._listeners.remove(listener)

    def take(self, sink: str, limit: int) -> list[StoredEvent]:
        """The first committed events that a sink has not settled, in the order of appending; they stay until it has.

        Raises:
            StorageError: They cannot be read.
        """
        with self._reading():
            return self._database.events_after(sink, self._cursors[sink], limit)

    def waiting(self, sink: str) -> Waiting:
        """How much a sink has not settled of what is committed.

        Raises:
            StorageError: It cannot be read.
        """
        with self._reading():
            return self._database.waiting(sink, self._cursors[sink])

    def add_sinks(self, names: Sequence[str], timeout_s: float) -> None:
        """Make sinks known while events come; each gets what is appended from now on.

        Args:
            names: Names of the sinks. Those that are known already stay as they are; one that comes back after a time
                is first given what has waited for it.
            timeout_s: How long to wait for the disk.

        Raises:
            StorageError: The outbox cannot be written, or not in time; nothing was changed.
        """
        new = [name for name in names if name not in self._cursors]
        if new:
            self._writer.add_sinks(new, timeout_s)
            with self._reading():
                cursors = self._database.cursors()
            self._cursors |= {name: cursors[name] for name in new}

    def leave_sinks(self, names: Sequence[str]) -> None:
        """Deliver no more to some sinks, whose deliveries have ended; what waits for them is kept, with a warning."""
        for name in names:
            with contextlib.suppress(StorageError):  # of what cannot be read nobody knows how much waits
                _warn_of_waiting(self._database.file.parent, name, self.waiting(name), self._warn)
            del self._cursors[name]

    def keep_for(self, retention_s: float) -> None:
        """Set how long events stay that every sink has."""
        self._writer.retention_s = retention_s

    def delivered(self, sink: str, number: int) -> None:
        """A sink has every event up to this number, and is given none of them again."""
        if number > self._cursors.get(sink, number):  # else it comes late, from a delivery that was given up
            self._cursors[sink] = number
            self._writer.settle(sink, number)

    def refused(self, sink: str, number: int, reason: str) -> None:
        """A sink has every event before this number, and refuses this one for good: it becomes a dead letter.

        Args:
            sink: Name of the sink.
            number: Number of the event.
            reason: Why it was refused, one sentence, without secrets.
        """
        if number > self._cursors.get(sink, number):  # else as in `delivered`
            self._cursors[sink] = number
            self._writer.settle(sink, number, Refusal(sink, number, reason, time.time()))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn errors inside the block into StorageError, and let a damaged database be mended."""
        with database_errors(self._database.file):
            try:
                yield
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    self._writer.suspect()
                raise

    def _ring(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def _json(value: Any) -> str:
    """JSON in ASCII, so that a name that is no UTF-8 can be stored as well."""
    return json.dumps(value, allow_nan=False)


def _opened(
    stack: contextlib.ExitStack, folder: Path, sinks: Sequence[str], on_warning: Callable[[str], None]
) -> Database:
    """Lock the folder and open the database in it; the stack gives both back."""
    with contextlib.ExitStack() as own:
        own.enter_context(only_writer_of(folder, IN_USE))
        database = open_database(folder / DATABASE_FILE, on_warning)
        own.callback(database.close)
        database.add_sinks(sinks)
        stack.enter_context(own.pop_all())
    return database


def _warn_of_other_sinks(database: Database, sinks: Sequence[str], on_warning: Callable[[str], None]) -> None:
    folder = database.file.parent
    for name, cursor in database.cursors().items():
        waiting = database.waiting(name, cursor)
        if name not in sinks:
            _warn_of_waiting(folder, name, waiting, on_warning)


def _warn_of_waiting(folder: Path, name: str, waiting: Waiting, on_warning: Callable[[str], None]) -> None:
    if waiting.n_events:
        command = f"edgerd outbox {shlex.quote(str(folder))} drop --sink {shlex.quote(name)} --waiting"
        on_warning(
            f"Events in {folder} wait for the sink {name!r} ({waiting.n_events}), which is not one of this run's. "
            f"They are kept. If it is gone for good: {command}"
        )
