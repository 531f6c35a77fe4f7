"""The outbox's SQLite database: what is written in one transaction, and what is read.

Everything is written through one connection, in transactions. With `journal_mode=WAL` and `synchronous=FULL` one is on
the disk when COMMIT returns: SQLite has called fsync on its log before that. That this order holds through a power cut
is SQLite's promise (https://sqlite.org/wal.html). Our tests record its system calls and drop what was not synced at any
of them; that a disk keeps what it says it has synced is up to the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgerd.delivery.rows import Changes, DeadLetter, StoredEvent, Waiting
from edgerd.delivery.schema import connect

_MERGE_AFTER_PAGES = 256
"""The log is merged into the database when it has a megabyte: on a slow disk that holds up later commits for less long
than SQLite's own four megabytes would."""
_ADD_SINK = """
INSERT OR IGNORE INTO sinks VALUES (?, (SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'))
"""
_BEGIN_NUMBERS = """
INSERT INTO sqlite_sequence(name, seq)
SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events')
"""
_RAISE_NUMBERS = "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = 'events'"
_DELETE_SETTLED = """
DELETE FROM events WHERE number IN (
    SELECT number FROM events
    WHERE appended_at < ? AND number <= COALESCE((SELECT MIN(cursor) FROM sinks), 9223372036854775807)
    ORDER BY number LIMIT ?
)
"""
_EVENTS_AFTER = """
SELECT number, event FROM events WHERE number > ? AND (sink IS NULL OR sink = ?) ORDER BY number LIMIT ?
"""
_WAITING = "SELECT COUNT(*), MIN(appended_at) FROM events WHERE number > ? AND (sink IS NULL OR sink = ?)"


class Database:
    """The tables of one outbox. One thread at a time may write, and any thread may read beside it.

    Args:
        file: Path of the database, which exists and has its tables.
        read_only: Whether nothing will be written; this works beside the process that writes.

    Raises:
        sqlite3.Error: It cannot be opened; DatabaseError itself where the file is damaged.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self.file = file
        self._is_read_only = read_only
        self._reading = threading.Lock()
        self._open()

    @property
    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that is written to: not removed, moved or replaced."""
        try:
            return os.path.samestat(self._opened, self.file.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the file; the one that writes merges its log into it."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()

    def reopen(self, prepare: Callable[[], None]) -> None:
        """Close the file, call a function that may put another in its place, and open that; readers wait meanwhile.

        Raises:
            sqlite3.Error: It cannot be opened; it stays closed.
        """
        with self._reading:
            self.close()
            prepare()
            self._open()

    def commit(self, changes: Changes) -> None:
        """Write changes in one transaction, which is on the disk when this returns.

        Raises:
            sqlite3.Error: They could not be written; nothing of them was.
        """
        with self._transaction() as connection:
            connection.executemany(_ADD_SINK, [(name,) for name in changes.sinks])
            for group in changes.appended:
                connection.executemany(
                    "INSERT INTO events(event, appended_at) VALUES (?, ?)",
                    [(event, group.appended_at) for event in group.events],
                )
                for camera, state in group.open_alerts.items():
                    connection.execute("DELETE FROM open_alerts WHERE camera = ?", [camera])
                    if state is not None:
                        connection.execute("INSERT INTO open_alerts VALUES (?, ?)", [camera, state])
            for refusal in changes.refusals:
                connection.execute(
                    "INSERT INTO dead_letters(sink, event, reason, appended_at, refused_at) "
                    "SELECT ?, event, ?, appended_at, ? FROM events WHERE number = ?",
                    [refusal.sink, refusal.reason, refusal.refused_at, refusal.number],
                )
            for sink, cursor in changes.cursors.items():
                connection.execute("UPDATE sinks SET cursor = ? WHERE name = ?", [cursor, sink])

    def add_sinks(self, names: Iterable[str]) -> None:
        """Make sinks known; a new one gets the events that are appended from now on."""
        with self._transaction() as connection:
            connection.executemany(_ADD_SINK, [(name,) for name in names])

    def continue_from(self, cursors: Mapping[str, int]) -> None:
        """Take over sinks that have events up to given numbers; later events get larger ones, also in a new file."""
        with self._transaction() as connection:
            connection.execute(_BEGIN_NUMBERS)
            connection.execute(_RAISE_NUMBERS, [max(cursors.values(), default=0)])
            connection.executemany("INSERT OR IGNORE INTO sinks VALUES (?, ?)", list(cursors.items()))

    def delete_settled(self, before: float, limit: int) -> int:
        """Delete events that no sink waits for any more, the oldest first.

        Args:
            before: Only those that were appended before, Unix seconds.
            limit: At most so many, so that commits need not wait for long.

        Returns:
            How many there were.
        """
        with self._transaction() as connection:
            return connection.execute(_DELETE_SETTLED, [before, limit]).rowcount

    def checkpoint(self) -> None:
        """Merge the log into the database, and give the log's space back."""
        self._for_writing().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def resend(self, letters: Iterable[DeadLetter]) -> None:
        """Let dead letters wait for their sinks again, behind what waits already."""
        with self._transaction() as connection:
            for letter in letters:
                connection.execute(
                    "INSERT INTO events(event, appended_at, sink) "
                    "SELECT event, appended_at, sink FROM dead_letters WHERE number = ?",
                    [letter.number],
                )
                connection.execute("DELETE FROM dead_letters WHERE number = ?", [letter.number])

    def drop(self, letters: Iterable[DeadLetter]) -> None:
        """Delete dead letters."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM dead_letters WHERE number = ?", [(one.number,) for one in letters])

    def forget_sink(self, name: str) -> None:
        """Forget a sink with all that waits for it and its dead letters."""
        with self._transaction() as connection:
            for statement in (
                "DELETE FROM sinks WHERE name = ?",
                "DELETE FROM events WHERE sink = ?",
                "DELETE FROM dead_letters WHERE sink = ?",
            ):
                connection.execute(statement, [name])

    def cursors(self) -> dict[str, int]:
        """By sink, the number of the last event that it has or has refused."""
        return dict(self._read("SELECT name, cursor FROM sinks ORDER BY name"))

    def open_alerts(self) -> dict[str, Any]:
        """By camera, the state of its alert."""
        return {json.loads(camera): json.loads(state) for camera, state in self._read("SELECT * FROM open_alerts")}

    def events_after(self, sink: str, cursor: int, limit: int) -> list[StoredEvent]:
        """The first events that a sink has not got, in the order of appending."""
        rows = self._read(_EVENTS_AFTER, [cursor, sink, limit])
        return [StoredEvent(number, json.loads(event)) for number, event in rows]

    def waiting(self, sink: str, cursor: int) -> Waiting:
        """How much waits for a sink."""
        ((n_events, oldest_at),) = self._read(_WAITING, [cursor, sink])
        return Waiting(n_events, oldest_at)

    def dead_letters(self) -> list[DeadLetter]:
        """All of them, the oldest first."""
        rows = self._read("SELECT number, sink, event, reason, refused_at FROM dead_letters ORDER BY number")
        return [DeadLetter(number, sink, json.loads(event), *rest) for number, sink, event, *rest in rows]

    def _open(self) -> None:
        self._writer = None if self._is_read_only else connect(self.file, "rw")
        self._reader = connect(self.file, "ro")
        try:
            if self._writer is not None:
                self._writer.execute("PRAGMA synchronous = FULL")
                self._writer.execute(f"PRAGMA wal_autocheckpoint = {_MERGE_AFTER_PAGES}").fetchall()
            self._reader.execute("SELECT COUNT(*) FROM sinks").fetchone()
        except BaseException:
            self.close()
            raise
        self._opened = self.file.stat()

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    def _for_writing(self) -> sqlite3.Connection:
        if self._writer is None:
            raise sqlite3.ProgrammingError("it was opened for reading only")
        return self._writer

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._for_writing()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has already gone back after some errors
                connection.execute("ROLLBACK")
            raise
