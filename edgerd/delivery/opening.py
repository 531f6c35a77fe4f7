"""An outbox's database is opened, after it was checked, and made where there is none."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from edgerd.delivery.database import Database
from edgerd.delivery.schema import SCHEMA, TABLES, VERSION, connect
from edgerd.errors import InputError, StorageError
from edgerd.paths import exists, why_missing
from edgerd.storage import only_writer_of, storage_errors, sync

DATABASE_FILE: Final = "outbox.db"
IN_USE: Final = "Stop the `edgerd run` that uses this outbox first, or give this line an outbox folder of its own."
_BESIDE = ("", "-wal", "-shm")
"""A database with its log and the log's index."""


def open_database(file: Path, on_warning: Callable[[str], None]) -> Database:
    """Open a database after every page of it was checked; make it where it is not there.

    One that is damaged is moved aside under another name, with a warning, and a new one is begun.

    Raises:
        InputError: It was written by a newer edgerd.
        sqlite3.Error: It cannot be opened or made: no permission, the disk is full.
    """
    _make_or_check(file, on_warning)
    return Database(file)


def reopen(database: Database, cursors: Mapping[str, int], on_warning: Callable[[str], None]) -> None:
    """Close a database that gave an error of a damaged file, check it, and open it or a new one in its place.

    Args:
        database: Nothing else may write to it meanwhile; readers wait.
        cursors: By sink, the number of the last event that it has. Events of a new database get larger ones.
        on_warning: Is told where the file is moved aside.

    Raises:
        sqlite3.Error: It cannot be opened or made; it stays closed.
    """
    database.reopen(lambda: _make_or_check(database.file, on_warning))
    database.continue_from(cursors)


def is_damage(error: Exception) -> bool:
    """Whether an error says that a file is damaged ("malformed", "not a database"): the class itself, not its kinds."""
    return type(error) is sqlite3.DatabaseError


def open_for_reading(folder: Path) -> Database:
    """Open the database of an outbox to look at it only, also while another process writes to it.

    Raises:
        InputError: There is none, or it was written by a newer edgerd.
        StorageError: It cannot be read.
    """
    file = _existing(folder)
    with database_errors(file):
        _check_version(file)
        return Database(file, read_only=True)


@contextlib.contextmanager
def opened_for_changes(folder: Path) -> Iterator[Database]:
    """Open the database of an outbox that no line uses at the moment, for the time of the block.

    Raises:
        InputError: There is none, another process has it, or it was written by a newer edgerd.
        StorageError: It cannot be read or written.
    """
    file = _existing(folder)
    with database_errors(file), only_writer_of(folder, IN_USE):
        _check_version(file)
        with contextlib.closing(Database(file)) as database:
            yield database


@contextlib.contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn errors of an outbox's database, or of its folder, inside the block into StorageError."""
    try:
        with storage_errors(path, "Free some space or choose another folder for the outbox."):
            yield
    except sqlite3.Error as error:
        raise StorageError(
            f"The outbox {path} cannot be used: {error}.",
            expected="an outbox that is whole, in a folder that this user can write, with space left",
            hint="Check the disk and the permissions. A run moves a damaged outbox aside when it starts.",
        ) from error


def _existing(folder: Path) -> Path:
    file = folder / DATABASE_FILE
    if not exists(file):
        raise InputError(
            why_missing(file, "outbox"),
            expected=f"a folder with {DATABASE_FILE} in it",
            hint="Name the folder that the line's recipe names as its outbox.",
        )
    return file


def _make_or_check(file: Path, on_warning: Callable[[str], None]) -> None:
    try:
        _make_or_find(file)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        aside = _moved_aside(file)
        on_warning(
            f"The outbox {file} is damaged ({error}). It was moved to {aside.name}, and a new one was begun: events "
            "that had not been delivered are in the old one only."
        )
        _make_or_find(file)


def _make_or_find(file: Path) -> None:
    """Make the tables where there are none, else check them.

    Raises:
        sqlite3.DatabaseError: They are damaged.
    """
    if exists(file):
        _check_version(file)
    with contextlib.closing(connect(file, "rwc")) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:  # new, or of a process that was killed while it made it
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT;")
            sync(file.parent)
        elif missing := TABLES - tables:
            raise sqlite3.DatabaseError(f"it has no {' and '.join(sorted(missing))}")


def _check_version(file: Path) -> None:
    with contextlib.closing(connect(file, "ro")) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise InputError(
            f"{file} was written by a newer edgerd (version {version}).",
            expected=f"an outbox of version {VERSION}",
            hint="Update edgerd, or name another folder.",
        )


def _moved_aside(file: Path) -> Path:
    """Rename a database, its log and the log's index; gives the new name of the database."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (f"{file.name}.damaged-{stamp}{'' if n == 0 else f'.{n}'}" for n in range(1 << 16))
    aside = next(file.with_name(name) for name in names if not exists(file.with_name(name)))
    for suffix in _BESIDE:
        part = file.with_name(file.name + suffix)
        if exists(part):
            part.rename(aside.with_name(aside.name + suffix))
    sync(file.parent)
    return aside
