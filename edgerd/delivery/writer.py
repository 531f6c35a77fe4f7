"""The one thread that writes to an outbox: whatever has come is committed together, and tried again until it is."""

from __future__ import annotations

import contextlib
import errno
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from edgerd.delivery.database import Database
from edgerd.delivery.opening import is_damage
from edgerd.delivery.reserve import Reserve
from edgerd.delivery.rows import Appended, Changes, Refusal
from edgerd.errors import EdgerdError, StorageError

MAX_UNCOMMITTED: Final = 10_000
"""Events that wait in memory for a disk that does not take them; what comes beyond is lost, and counted."""
_GROUP = 500
_CLEAN_EVERY_S = 60.0
_CLEAN_LIMIT = 1000
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 2.0
_SLOW_S = 5.0
"""An event that has waited so long for the disk turns the health red, though no error came: a disk may just hang."""


@dataclass(frozen=True, slots=True)
class Health:
    """How an outbox does.

    Attributes:
        is_ok: Whether events get to the disk.
        reason: Why not, one sentence; empty where they do.
        n_uncommitted: Events that are in memory only, for the moment or until the disk takes them.
        n_lost: Events that could not even be kept in memory, since the start.
    """

    is_ok: bool
    reason: str
    n_uncommitted: int
    n_lost: int


class Writer:
    """Takes changes from any thread without waiting for the disk, and commits them on its own thread, in their order.

    Args:
        database: Nobody else writes to it.
        reserve: Released when the disk is full.
        on_commit: Called after each commit; must return at once.
        mend: Called where the database's file seems to be damaged; opens it again, or a new one.
        on_warning: Takes a sentence for people; must not raise.
        make_room: Frees space elsewhere when the disk is full; returns whether it could.
        retention_s: How long events stay that every sink has.

    Attributes:
        retention_s: How long events stay that every sink has; may be changed.
    """

    def __init__(
        self,
        database: Database,
        reserve: Reserve,
        *,
        on_commit: Callable[[], None],
        mend: Callable[[], None],
        on_warning: Callable[[str], None],
        make_room: Callable[[], bool],
        retention_s: float,
    ) -> None:
        self._database = database
        self._reserve = reserve
        self._on_commit = on_commit
        self._mend = mend
        self._warn = on_warning
        self._make_other_room = make_room
        self.retention_s = retention_s

        self._changed = threading.Condition()
        self._sinks: deque[str] = deque()
        self._appended: deque[Appended] = deque()
        self._refusals: deque[Refusal] = deque()
        self._cursors: dict[str, int] = {}
        self._n_uncommitted = 0
        self._n_lost = 0
        self._failure = ""
        self._has_failed = False
        self._no_room = ""
        self._is_suspect = False
        self._is_closing = False
        self._cleaned_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="edgerd-outbox", daemon=True)
        self._thread.start()

    @property
    def health(self) -> Health:
        """How it does now."""
        with self._changed:
            reason = self._failure
            if not reason and self._appended:
                waited_s = time.monotonic() - self._appended[0].waits_since_s
                if waited_s > _SLOW_S:
                    reason = f"The disk of {self._database.file} does not answer: an event waits for {waited_s:.0f} s."
            return Health(not reason, reason, self._n_uncommitted, self._n_lost)

    def append(self, group: Appended) -> None:
        """Take events; where too many wait already, count them as lost.

        Raises:
            ValueError: It is closed.
        """
        with self._changed:
            if self._is_closing:
                raise ValueError("the outbox is closed")
            if self._n_uncommitted + len(group.events) > MAX_UNCOMMITTED:
                self._n_lost += len(group.events)
                return
            self._appended.append(group)
            self._n_uncommitted += len(group.events)
            self._changed.notify_all()

    def settle(self, sink: str, number: int, refusal: Refusal | None = None) -> None:
        """Take that a sink has every event up to a number, or has refused the last of them."""
        with self._changed:
            if refusal:
                self._refusals.append(refusal)
            self._cursors[sink] = number
            self._changed.notify_all()

    def add_sinks(self, names: Sequence[str], timeout_s: float) -> None:
        """Make sinks known, and wait until that is on the disk; where it is not in time they are not made known.

        Raises:
            StorageError: It cannot be written, or not in time.
        """
        with self._changed:
            self._sinks.extend(names)
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._sinks, timeout_s):
                self._sinks.clear()
                what = f"A new sink cannot be written to {self._database.file} within {timeout_s:g} s. {self._failure}"
                raise StorageError(
                    what.rstrip(),
                    expected="a disk with some space left that answers",
                    hint="Free some space; then change the recipe again.",
                )

    def suspect(self) -> None:
        """Take that somebody who read from the database found it damaged."""
        with self._changed:
            self._is_suspect = True
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is on the disk; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._has_changes(), timeout_s)

    def close(self, timeout_s: float) -> bool:
        """End, with or without what is not committed; returns whether the thread has ended: a disk may hang."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _has_changes(self) -> bool:
        return bool(self._sinks or self._appended or self._refusals or self._cursors)

    def _has_work(self) -> bool:
        return bool(self._has_changes() or self._is_closing or self._is_suspect or self._has_failed)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, _CLEAN_EVERY_S)
                if self._is_closing:
                    return
                changes = Changes(
                    tuple(self._sinks),
                    tuple(islice(self._appended, _GROUP)),
                    tuple(self._refusals),
                    dict(self._cursors),
                )  # they stay in memory until they are written
            try:
                self._write(changes)
            except (sqlite3.Error, OSError, EdgerdError) as error:
                self._has_failed = True
                # A database that could not be opened again is closed, which is an error of programming to sqlite3.
                self._is_suspect |= is_damage(error) or isinstance(error, sqlite3.ProgrammingError)
                self._set_failure(
                    f"Events cannot be written to {self._database.file}: {error}. They are kept in memory."
                )
                if not (says_full(error) and self._make_room()):
                    with self._changed:
                        self._changed.wait_for(lambda: self._is_closing, pause_s)
                    pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            else:
                if self._has_failed:
                    self._reserve.fill()  # at once where there is space again: the disk may soon be full a second time
                pause_s = _FIRST_PAUSE_S
                self._has_failed = False
                self._no_room = ""
                self._set_failure("" if self._database.is_in_place else self._out_of_place())

    def _write(self, changes: Changes) -> None:
        if self._is_suspect:
            self._mend()
            self._is_suspect = False
            self._on_commit()
        if changes:
            self._database.commit(changes)
            self._forget(changes)
            self._on_commit()
        if self._cleaned_at is None or time.monotonic() - self._cleaned_at >= _CLEAN_EVERY_S:
            self._database.delete_settled(before=time.time() - self.retention_s, limit=_CLEAN_LIMIT)
            self._reserve.fill()
            self._cleaned_at = time.monotonic()

    def _forget(self, changes: Changes) -> None:
        """What is committed need not be remembered."""
        with self._changed:
            for name in changes.sinks:
                if name in self._sinks:  # else nobody waits for it any more
                    self._sinks.remove(name)
            for group in changes.appended:
                self._appended.popleft()
                self._n_uncommitted -= len(group.events)
            for _ in changes.refusals:
                self._refusals.popleft()
            for sink, cursor in changes.cursors.items():
                if self._cursors[sink] == cursor:
                    del self._cursors[sink]
            self._changed.notify_all()

    def _set_failure(self, failure: str) -> None:
        """Set what the health says, and warn where it turns red or green; empty for green."""
        with self._changed:
            was, self._failure = self._failure, failure
            lost = f" {self._n_lost} were lost since the start." if self._n_lost else ""
        if failure and not was:
            self._warn(failure)
        elif was and not failure:
            self._warn(f"Events are written to {self._database.file} again.{lost}")

    def _out_of_place(self) -> str:
        return (
            f"{self._database.file} was removed or replaced while it was in use. Events are still delivered, but those "
            "that wait are lost when the process ends: start it again soon."
        )

    def _make_room(self) -> bool:
        """Free some space on a full disk; returns whether it is worth trying again at once."""
        if self._reserve.release():
            return True
        with contextlib.suppress(sqlite3.Error):  # there may be too little space even for that
            n_deleted = self._database.delete_settled(before=math.inf, limit=_CLEAN_LIMIT)
            self._database.checkpoint()
            if n_deleted:
                return True
        try:
            return self._make_other_room()
        except (EdgerdError, OSError) as error:
            was, self._no_room = self._no_room, f"No room could be made for events: {error}"
            if self._no_room != was:
                self._warn(self._no_room)
            return False


def says_full(error: Exception) -> bool:
    """Whether an error is about a full disk, or one's share of it."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return str(error) == "database or disk is full"  # Python 3.10 does not have SQLite's number of the error
