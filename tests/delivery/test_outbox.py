"""The outbox: what is appended is there after a restart, and what goes wrong is said."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from outbox_parts import alert, camera_event, frames_for, opened, wait_until

from edgerd.delivery import writer
from edgerd.delivery.database import Database
from edgerd.delivery.opening import DATABASE_FILE
from edgerd.delivery.reserve import RESERVE_FILE
from edgerd.delivery.rows import Changes
from edgerd.errors import InputError, StorageError


def test_events_are_there_after_a_restart_in_their_order(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox")
    events = [alert(0), alert(1, camera="b"), camera_event()]
    outbox.append(events[:2])
    outbox.append(events[2:])
    assert outbox.flush(10)
    assert [stored.event for stored in outbox.take("s", 10)] == [event.to_json() for event in events]
    assert outbox.close(10)
    outbox = opened(tmp_path / "outbox")
    assert [stored.event for stored in outbox.take("s", 10)] == [event.to_json() for event in events]
    assert outbox.waiting("s").n_events == 3
    outbox.close(10)


def test_what_a_sink_has_is_not_given_to_it_again_nor_kept_from_others(tmp_path: Path) -> None:
    outbox = opened(tmp_path, ["s", "t"])
    outbox.append([alert(number) for number in range(4)])
    outbox.flush(10)
    outbox.delivered("s", outbox.take("s", 2)[-1].number)
    for _ in range(2):
        assert frames_for(outbox, "s") == [2, 3]
        assert frames_for(outbox, "t") == [0, 1, 2, 3]
        outbox.close(10)
        outbox = opened(tmp_path, ["s", "t"])
    outbox.close(10)


def test_an_alert_that_was_open_is_known_after_a_restart_until_it_is_over(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.open_alerts() == {}
    state = {"id": "1", "captured_at": 1.5}
    outbox.append([alert()], {"a": state, "b": {"id": "2"}, "Teile/gr\udcfc": {"id": "3"}})
    outbox.close(10)
    outbox = opened(tmp_path)
    assert outbox.open_alerts() == {"a": state, "b": {"id": "2"}, "Teile/gr\udcfc": {"id": "3"}}
    outbox.append([alert(1, state="cleared")], {"a": None})
    outbox.append([], {"b": {"id": "4"}})
    outbox.close(10)
    outbox = opened(tmp_path)
    assert outbox.open_alerts() == {"b": {"id": "4"}, "Teile/gr\udcfc": {"id": "3"}}
    outbox.close(10)


def test_a_name_that_is_no_utf_8_and_numbers_that_json_does_not_know(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([alert(camera="pr\udcfcfung")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        outbox.append([replace(alert(), score=float("nan"))])
    outbox.flush(10)
    assert [stored.event["camera"] for stored in outbox.take("s", 10)] == ["pr\udcfcfung"]
    outbox.close(10)


def test_appending_never_waits_and_what_the_disk_does_not_take_is_kept_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    outbox = opened(tmp_path, warnings=warnings)
    commit, is_broken = Database.commit, True

    def commit_or_not(self: Database, changes: Changes) -> None:
        if is_broken:
            raise sqlite3.OperationalError("disk I/O error")
        commit(self, changes)

    monkeypatch.setattr(Database, "commit", commit_or_not)
    monkeypatch.setattr(writer, "MAX_UNCOMMITTED", 5)
    for number in range(7):
        outbox.append([alert(number)])
    wait_until(lambda: not outbox.health.is_ok)
    assert not outbox.flush(0.05)
    health = outbox.health
    assert (health.n_uncommitted, health.n_lost) == (5, 2)
    assert "disk I/O error" in health.reason
    assert frames_for(outbox) == []
    is_broken = False
    assert outbox.flush(10)
    wait_until(lambda: outbox.health.is_ok)
    assert (outbox.health.n_uncommitted, outbox.health.n_lost) == (0, 2)
    assert frames_for(outbox) == [0, 1, 2, 3, 4]
    outbox.close(10)
    assert "disk I/O error" in warnings[0]
    assert "2 were lost" in warnings[1]
    assert len(warnings) == 2


def test_a_disk_that_hangs_holds_up_no_append_and_turns_the_health_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()
    commit = Database.commit

    def hang(self: Database, changes: Changes) -> None:
        hangs.set()
        goes_on.wait(20)
        commit(self, changes)

    monkeypatch.setattr(Database, "commit", hang)
    monkeypatch.setattr(writer, "_SLOW_S", 0.02)
    outbox = opened(tmp_path)
    outbox.append([alert()])
    assert hangs.wait(10)
    for number in range(10):
        outbox.append([alert(number)])
    wait_until(lambda: not outbox.health.is_ok)
    assert "does not answer" in outbox.health.reason
    assert outbox.health.n_uncommitted == 11, "appending has waited for the disk"
    goes_on.set()
    assert outbox.close(10)
    assert outbox.health.is_ok


def _hold(folder: Path, is_open: Any, may_end: Any) -> None:
    outbox = opened(folder)
    is_open.set()
    may_end.wait(30)
    outbox.close(10)


def test_a_second_process_is_told_who_has_the_outbox(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    is_open, may_end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, is_open, may_end))
    other.start()
    try:
        assert is_open.wait(30)
        with pytest.raises(InputError) as caught:
            opened(tmp_path)
        assert f"{tmp_path} is in use: process {other.pid}" in str(caught.value)
        assert "edgerd run" in str(caught.value)
    finally:
        may_end.set()
        other.join(30)
    opened(tmp_path).close(10)


def test_events_leave_after_the_retention_once_every_sink_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_CLEAN_EVERY_S", 0.01)
    outbox = opened(tmp_path, ["s", "t"], retention_s=0.0)
    outbox.append([alert(number) for number in range(6)])
    outbox.flush(10)
    numbers = [stored.number for stored in outbox.take("s", 10)]
    outbox.delivered("s", numbers[-1])
    outbox.delivered("t", numbers[3])
    outbox.flush(10)

    def kept() -> int:
        with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
            return connection.execute("SELECT COUNT(*) FROM events").fetchone()[0]

    wait_until(lambda: kept() == 2)
    assert frames_for(outbox, "t") == [4, 5]
    outbox.append([alert(6)])
    outbox.flush(10)
    assert frames_for(outbox, "s") == [6], "a number was used twice"
    outbox.close(10)


def test_a_new_sink_begins_with_the_next_event_and_one_that_left_is_named(tmp_path: Path) -> None:
    outbox = opened(tmp_path, ["s"])
    outbox.append([alert(0)])
    outbox.close(10)
    warnings: list[str] = []
    outbox = opened(tmp_path, ["t"], warnings=warnings)
    assert len(warnings) == 1
    assert "the sink 's' (1)" in warnings[0]
    assert f"edgerd outbox {tmp_path} drop --sink s --waiting" in warnings[0]
    outbox.append([alert(1)])
    outbox.flush(10)
    assert frames_for(outbox, "t") == [1]
    outbox.close(10)
    outbox = opened(tmp_path, ["s", "t"])
    assert frames_for(outbox, "s") == [0, 1]
    outbox.close(10)


def test_an_outbox_of_a_newer_edgerd_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close(10)
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="newer edgerd"):
        opened(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="could not be written"):
        opened(tmp_path / "file" / "outbox")
    (tmp_path / "outbox" / DATABASE_FILE).mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be used"):
        opened(tmp_path / "outbox")


def test_a_database_that_is_removed_while_it_is_in_use_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings, looks = list[str](), list[bool]()
    is_in_place = Database.is_in_place.fget
    assert is_in_place

    def look(self: Database) -> bool:
        looks.append(is_in_place(self))
        return looks[-1]

    monkeypatch.setattr(Database, "is_in_place", property(look))
    outbox = opened(tmp_path, warnings=warnings)
    (tmp_path / DATABASE_FILE).rename(tmp_path / "moved")
    outbox.append([alert(1)])
    wait_until(lambda: not outbox.health.is_ok)
    assert "was removed or replaced" in outbox.health.reason
    assert frames_for(outbox) == [1]
    time.sleep(0.05)
    assert len(looks) < 5, "it looks again and again"
    outbox.close(10)


def test_a_closed_outbox_takes_nothing_and_closes_twice(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.close(10)
    outbox.close(10)
    with pytest.raises(ValueError, match="closed"):
        outbox.append([alert()])
    assert (tmp_path / RESERVE_FILE).stat().st_size == 4 << 20
