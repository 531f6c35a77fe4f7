"""A full disk: the reserve goes first, then what is delivered, then pictures; nothing committed is lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from outbox_parts import alert, frames_for, opened, wait_until

from edgerd.delivery import writer
from edgerd.delivery.database import Database
from edgerd.delivery.reserve import RESERVE_FILE, Reserve
from edgerd.delivery.rows import Changes
from edgerd.errors import StorageError


class FullDisk:
    """Refuses commits as SQLite does on a full disk, until enough room was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        commit = Database.commit

        def commit_or_not(database: Database, changes: Changes) -> None:
            if self.is_full:
                raise sqlite3.OperationalError("database or disk is full")
            commit(database, changes)

        monkeypatch.setattr(Database, "commit", commit_or_not)


def test_room_is_made_in_order_until_an_event_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, warnings, made = FullDisk(monkeypatch), list[str](), list[str]()

    def released(self: Reserve) -> bool:
        made.append("reserve")
        return made.count("reserve") == 1

    def deleted(self: Database, before: float, limit: int) -> int:
        made.append("delivered")
        return int(made.count("delivered") < 3)

    def pictures_deleted() -> bool:
        made.append("pictures")
        disk.is_full = made.count("pictures") < 2
        return True

    outbox = opened(tmp_path, warnings=warnings, make_room=pictures_deleted)
    outbox.append([alert(0)])
    outbox.flush(10)
    monkeypatch.setattr(Reserve, "release", released)
    monkeypatch.setattr(Database, "delete_settled", deleted)
    disk.is_full = True
    outbox.append([alert(1)])
    assert outbox.flush(10)
    wait_until(lambda: outbox.health.is_ok)
    assert list(dict.fromkeys(made)) == ["reserve", "delivered", "pictures"]
    assert made[-1] == "pictures"
    assert made.count("pictures") == 2
    assert frames_for(outbox) == [0, 1]
    outbox.close(10)
    assert "database or disk is full" in warnings[0]
    assert "again" in warnings[1]


def test_a_sink_that_comes_while_the_disk_is_full_is_refused_and_events_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    outbox = opened(tmp_path, warnings=[])
    disk.is_full = True
    monkeypatch.setattr(Reserve, "release", lambda self: False)
    with pytest.raises(StorageError, match="database or disk is full"):
        outbox.add_sinks(["new"], 0.2)
    outbox.append([alert(0)])
    disk.is_full = False
    assert outbox.flush(10)
    assert outbox.sinks == ("s",)
    assert frames_for(outbox) == [0]
    outbox.add_sinks(["new"], 10)
    outbox.append([alert(1)])
    assert outbox.flush(10)
    assert frames_for(outbox, "new") == [1]
    outbox.close(10)


def test_a_disk_that_stays_full_is_asked_at_intervals_and_the_health_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_asked = 0

    def no_room() -> bool:
        nonlocal n_asked
        n_asked += 1
        raise OSError("the archive is not there")

    disk, warnings = FullDisk(monkeypatch), list[str]()
    monkeypatch.setattr(writer, "_FIRST_PAUSE_S", 0.02)
    outbox = opened(tmp_path, warnings=warnings, make_room=no_room)
    disk.is_full = True
    outbox.append([alert(0)])
    wait_until(lambda: n_asked > 1)
    assert not outbox.health.is_ok
    assert outbox.health.n_uncommitted == 1
    assert sum("the archive is not there" in text for text in warnings) == 1
    disk.is_full = False
    assert outbox.flush(10)
    assert n_asked < 100
    outbox.close(10)


def test_the_reserve_really_takes_up_space_and_never_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(tmp_path, 1 << 20)
    assert reserve.fill()
    assert (tmp_path / RESERVE_FILE).stat().st_blocks * 512 >= 1 << 20
    assert reserve.release()
    assert not (tmp_path / RESERVE_FILE).exists()
    assert not reserve.release()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3 << 20))
    assert not reserve.fill()
    assert not (tmp_path / RESERVE_FILE).exists()


# On a file system of 64 MB that another process fills up: events go on being committed, first into what the reserve
# leaves; when that is full as well, they wait in memory; and when there is space again all of them are on the disk.
ON_A_SMALL_DISK = """
import os, sys, time
from pathlib import Path
from edgerd.delivery import Outbox
from edgerd.events import Alert, uuid7

disk = Path(sys.argv[1])
outbox = Outbox.open(disk / "outbox", ["s"], on_warning=lambda text: print("warning:", text, flush=True))
reserve = disk / "outbox" / "reserve"
n_frames = 0

def append(n_events):
    global n_frames
    for _ in range(n_events):
        event = Alert(uuid7(), "raised", "a", n_frames, "x" * 4000, 1.5, 2.5, 0.75, 0.5)
        outbox.append([event], {"a": {"n": n_frames}})
        n_frames += 1

def fill_up():
    with open(disk / "other", "ab", buffering=0) as other:
        size = 1 << 20
        while size:
            try:
                other.write(bytes(size))
            except OSError:
                size //= 2

append(10)
assert outbox.flush(20)
assert reserve.stat().st_size == 4 << 20
fill_up()
append(60)                                    # they fit into the reserve's place
assert outbox.flush(20), outbox.health
assert not reserve.exists()
committed = n_frames
fill_up()
append(3000)                                  # 12 MB: they do not fit anywhere
assert not outbox.flush(1)
health = outbox.health
assert not health.is_ok and "full" in health.reason, health
assert health.n_uncommitted > 0 and health.n_lost == 0, health
assert len(outbox.take("s", 10_000)) >= committed
(disk / "other").unlink()
assert outbox.flush(20), outbox.health
for _ in range(1000):
    if outbox.health.is_ok:
        break
    time.sleep(0.01)
assert outbox.health.is_ok
assert [one.event["frame"] for one in outbox.take("s", 10_000)] == list(range(n_frames))
fill_up()
outbox.delivered("s", outbox.take("s", 10_000)[-1].number)
outbox.flush(20)
append(300)                                   # what is delivered makes room
assert outbox.flush(20), outbox.health
assert outbox.close(20)

def reopened():
    return Outbox.open(disk / "outbox", ["s"], on_warning=lambda text: print("warning:", text, flush=True))

(disk / "other").unlink()
assert reopened().close(20)                   # which sets the reserve aside again
fill_up()
outbox = reopened()
assert not reserve.exists()
assert outbox.open_alerts() == {"a": {"n": n_frames - 1}}
outbox.close(20)
print("done")
"""


def test_a_disk_that_really_is_full(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=64m none '{tmp_path}'"
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-rm", "sh", "-c", mount], capture_output=True, timeout=20).returncode:
        pytest.skip("no file system of its own can be mounted here")
    command = f"{mount} && exec '{sys.executable}' -c \"$0\" '{tmp_path}'"
    ended = subprocess.run(
        [unshare, "-rm", "sh", "-c", command, ON_A_SMALL_DISK], capture_output=True, text=True, timeout=120
    )
    assert ended.stdout.endswith("done\n"), ended.stdout + ended.stderr
    assert "database or disk is full" in ended.stdout
