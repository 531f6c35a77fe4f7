"""The tables of an outbox, and how a connection to them is made."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

VERSION: Final = 1
_BUSY_TIMEOUT_S = 5.0
SCHEMA: Final = f"""
CREATE TABLE events(
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of appending; never used twice
    event TEXT NOT NULL,                       -- JSON
    appended_at REAL NOT NULL,                 -- Unix seconds
    sink TEXT                                  -- the only sink that gets it; NULL for all
);
CREATE TABLE sinks(
    name TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL                    -- number of the last event that it has, or that it refused
);
CREATE TABLE open_alerts(
    camera TEXT PRIMARY KEY,                   -- JSON, since a name may hold what is no UTF-8
    state TEXT NOT NULL                        -- JSON
);
CREATE TABLE dead_letters(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    event TEXT NOT NULL,
    reason TEXT NOT NULL,
    appended_at REAL NOT NULL,
    refused_at REAL NOT NULL
);
PRAGMA user_version = {VERSION};
"""
TABLES: Final = {"events", "sinks", "open_alerts", "dead_letters"}


def connect(file: Path, mode: str) -> sqlite3.Connection:
    """A connection in autocommit mode; the callers see to it that one thread at a time uses it."""
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
