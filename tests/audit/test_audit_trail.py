"""Whoever records an entry does not wait for the disk, and no entry is lost unsaid."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from audit_files import RECIPE, new_path, records, written
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.audit import AuditTrail, verify
from edgerd.errors import StorageError


def test_a_trail_writes_in_its_own_thread_and_hides_secrets(path):
    with AuditTrail(path, RECIPE) as trail:
        trail.record("start", "The line was started.")
        trail.record(
            "change",
            "A key was taken over from rtsp://admin:hunter2@10.0.0.3.",
            who="anna",
            old={"password": "hunter2", "uri": "rtsp://admin:hunter2@10.0.0.3/live"},
            new=float("nan"),
            token="hunter2",
        )
    assert verify(path)[0].n_lines == 3
    assert b"hunter2" not in path.read_bytes()
    _, start, change = records(path)
    assert str(os.getpid()) in start["who"]
    assert (change["who"], change["details"]["new"]) == ("anna", "nan")
    assert abs(start["at"] - time.time()) < 3600


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(1 << 5_000) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(["old", "new", "camera", "é", "\ud800"]), VALUES), st.text(min_size=1))
def test_whatever_is_handed_over_is_written_as_a_line_that_fits(tmp_path_factory, details, text):
    path = new_path(tmp_path_factory)
    with AuditTrail(path, RECIPE) as trail:
        trail.record("manual", text, who=text, **details)
    assert verify(path)[0].n_lines == 2


def test_what_cannot_be_written_is_written_later(path, monkeypatch):
    trail = AuditTrail(path, RECIPE)
    append = trail._file.append
    failures = iter([StorageError("The disk is full."), StorageError("The disk is full.")])

    def failing(one):
        if error := next(failures, None):
            raise error
        append(one)

    monkeypatch.setattr("edgerd.audit.trail._RETRY_S", 0.01)
    monkeypatch.setattr(trail._file, "append", failing)
    trail.record("start", "One.")
    trail.record("stop", "Two.")
    deadline = time.monotonic() + 10
    while len(records(path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert trail.close()
    assert [record["what"] for record in records(path)][1:] == ["One.", "Two."]
    assert trail.failure is None


def test_a_disk_that_stays_full_does_not_hold_up_the_end(path, monkeypatch):
    trail = AuditTrail(path, RECIPE)

    def full(one):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(trail._file, "append", full)
    trail.record("start", "One.")
    assert not trail.close(timeout_s=0.2)
    assert not trail._thread.is_alive()
    assert trail.failure == "The disk is full."


def test_a_disk_that_is_full_for_a_moment_is_waited_for_at_the_end(path, monkeypatch):
    monkeypatch.setattr("edgerd.audit.trail._RETRY_S", 0.01)
    trail = AuditTrail(path, RECIPE)
    append = trail._file.append
    is_full = threading.Event()

    def failing_once(one):
        if not is_full.is_set():
            is_full.set()
            raise StorageError("The disk is full.")
        append(one)

    monkeypatch.setattr(trail._file, "append", failing_once)
    trail.record("stop", "One.")
    assert trail.close(timeout_s=30)
    assert records(path)[-1]["what"] == "One."


def test_entries_that_find_no_room_are_counted(path, monkeypatch):
    monkeypatch.setattr("edgerd.audit.trail._MAX_WAITING", 0)
    with AuditTrail(path, RECIPE) as trail:
        trail.record("start", "One.")
    assert [(record["kind"], record["details"].get("n")) for record in records(path)][1:] == [("lost", 1)]


def test_a_process_that_is_killed_leaves_a_chain_that_holds(path):
    code = (
        "import sys, pathlib; from edgerd.audit import AuditTrail\n"
        f"trail = AuditTrail(pathlib.Path(sys.argv[1]), '{RECIPE}', max_bytes=4000)\n"
        "print('ready', flush=True)\n"
        "while True: trail.record('manual', 'x' * 50)"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.1)
        process.kill()
        process.wait()
        process.stdout.close()
    written(path, ["stop"])
    chains = verify(path)
    lines = [line for chain in chains for line in chain.file.read_bytes().splitlines()]
    n_torn = sum(not line.endswith(b"}") for line in lines)  # these have no number of their own
    assert len(lines) == chains[0].last_n + 1 + n_torn
