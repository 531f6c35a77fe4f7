"""An outbox's database is opened, after it was checked, and made where there is none."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgerd.delivery.database import Database
from edgerd.delivery.schema import SCHEMA, TABLES, VERSION, connect
from edgerd.errors import InputError, StorageError
from edgerd.paths import exists
from edgerd.storage import sync

DATABASE_FILE: Final = "outbox.db"
_BESIDE = ("", "-wal", "-shm")
"""A database with its log and the log's index."""


def open_database(file: Path, on_warning: Callable[[str], None]) -> Database:
    """Open a database after every page of it was checked; make it where it is not there.

    One that is damaged is moved aside under another name, with a warning, and a new one is begun.

    Raises:
        InputError: It was written by a newer edgerd.
        sqlite3.Error: It cannot be opened or made: no permission, the disk is full.
    """
    try:
        return _made_or_checked(file)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:  # this class itself says "malformed" and "not a database"
        aside = _moved_aside(file)
        on_warning(
            f"The outbox {file} is damaged ({error}). It was moved to {aside.name}, and a new one was begun: events "
            "that had not been delivered are in the old one only."
        )
        return _made_or_checked(file)


def open_for_reading(file: Path) -> Database:
    """Open a database to look at it only, also while another process writes to it.

    Raises:
        InputError: There is none, or it was written by a newer edgerd.
        StorageError: It cannot be read.
    """
    if not exists(file):
        raise InputError(
            f"There is no outbox at {file.parent}.",
            expected=f"a folder with {DATABASE_FILE} in it",
            hint="Name the folder that the recipe or `edgerd run` names as its outbox.",
        )
    try:
        _check_version(file)
        return Database(file, read_only=True)
    except sqlite3.Error as error:
        raise StorageError(
            f"{file} could not be read: {error}.",
            expected="an outbox that is whole, and the permission to read it",
            hint="Run the command as the user who runs edgerd. Opening a damaged one for a run moves it aside.",
        ) from error


def _made_or_checked(file: Path) -> Database:
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
    return Database(file)


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
