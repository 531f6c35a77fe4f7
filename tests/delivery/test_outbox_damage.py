"""A damaged outbox is moved aside, and a new one is begun; nothing is deleted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from outbox_parts import alert, frames_for, opened, wait_until

from edgerd.delivery.opening import DATABASE_FILE
from edgerd.errors import StorageError


@pytest.mark.parametrize("damage", ["garbage", "a page", "another database"])
def test_a_damaged_outbox_is_moved_aside_with_a_warning(tmp_path: Path, damage: str) -> None:
    outbox = opened(tmp_path)
    outbox.append([alert(number) for number in range(200)])
    outbox.close(10)
    file = tmp_path / DATABASE_FILE
    if damage == "garbage":
        file.write_bytes(b"no database" * 1000)
    elif damage == "a page":
        content = bytearray(file.read_bytes())
        content[3 * 4096 : 12 * 4096] = b"\xff" * (9 * 4096)
        file.write_bytes(content)
    else:
        file.unlink()
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE other(x)")
        connection.close()
    before = file.read_bytes()
    warnings: list[str] = []
    outbox = opened(tmp_path, warnings=warnings)
    outbox.append([alert(7)])
    outbox.flush(10)
    assert frames_for(outbox) == [7]
    outbox.close(10)
    (aside,) = tmp_path.glob("outbox.db.damaged-*")
    assert aside.read_bytes() == before
    assert len(warnings) == 1
    assert aside.name in warnings[0]


@pytest.mark.parametrize("found_by", ["the writer", "a reader"])
def test_a_database_that_is_damaged_while_it_is_in_use_is_replaced(tmp_path: Path, found_by: str) -> None:
    warnings: list[str] = []
    outbox = opened(tmp_path, ["s", "t"], warnings=warnings)
    outbox.append([alert(number, camera="x" * 40_000) for number in range(100)])  # more than SQLite keeps in memory
    outbox.flush(10)
    numbers = [stored.number for stored in outbox.take("s", 100)]
    outbox.delivered("s", numbers[60])
    outbox.delivered("t", numbers[30])
    outbox.flush(10)
    outbox.close(10)
    outbox = opened(tmp_path, ["s", "t"], warnings=warnings)
    file = tmp_path / DATABASE_FILE
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    if found_by == "a reader":
        with pytest.raises(StorageError, match="malformed"):
            outbox.take("s", 100)
    else:
        outbox.append([alert(100)])
    wait_until(lambda: len(list(tmp_path.glob("*.damaged-*"))) > 0)
    outbox.append([alert(101)])
    assert outbox.flush(10)
    wait_until(lambda: outbox.health.is_ok)
    expected = [101] if found_by == "a reader" else [100, 101]
    assert frames_for(outbox, "s") == frames_for(outbox, "t") == expected
    assert any("was moved to outbox.db.damaged-" in text for text in warnings)
    outbox.close(10)
    outbox = opened(tmp_path, ["s", "t"], warnings=warnings)
    assert frames_for(outbox, "s") == frames_for(outbox, "t") == expected
    outbox.close(10)


def test_an_outbox_that_was_only_begun_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).touch()
    opened(tmp_path).close(10)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    (tmp_path / "x.db").rename(tmp_path / DATABASE_FILE)
    opened(tmp_path).close(10)
    assert not list(tmp_path.glob("*damaged*"))
