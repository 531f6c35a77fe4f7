"""What was written down can be read again, and whatever is changed in it shows."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.audit import AuditTrail, verify
from edgerd.audit.chain import NO_HASH, hash_of, line_of
from edgerd.audit.file import AuditFile
from edgerd.errors import AuditError, InputError, StorageError

RECIPE = "ab" * 32
ENTRIES = st.sampled_from(["start", "stop", "recipe", "change", "manual", "camera"])


def entry(kind="start", **details):
    return {"at": 1.5, "kind": kind, "who": "anna", "what": "Something.", "details": details}


def opened(path, **options):
    return AuditFile(path, lambda: entry("begin", recipe=RECIPE), lambda: entry("torn"), **options)


def written(path, kinds, **options):
    file = opened(path, **options)
    for kind in kinds:
        file.append(entry(kind))
    file.close()
    return path


def records(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def new_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def test_each_line_holds_the_hash_of_the_one_before_and_the_first_that_of_the_recipe(path):
    written(path, ["start", "camera", "stop"])
    lines = path.read_bytes().splitlines()
    assert [record["kind"] for record in records(path)] == ["begin", "start", "camera", "stop"]
    assert records(path)[0]["details"] == {"recipe": RECIPE, "continues": None}
    assert [record["before"] for record in records(path)] == [NO_HASH, *map(hash_of, lines[:-1])]
    (chain,) = verify(path)
    assert (chain.n_lines, chain.last_n, chain.last_sha256) == (4, 3, hash_of(lines[-1]))


def test_a_restart_goes_on(path):
    written(path, ["start"])
    written(path, ["start", "stop"])
    assert [record["n"] for record in records(path)] == [0, 1, 2, 3]
    assert verify(path)[0].n_lines == 4


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_any_change_inside_the_chain_shows(tmp_path_factory, kinds, data):
    path = written(new_folder(tmp_path_factory), kinds)
    lines = path.read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 2))  # the end can be cut off unnoticed, as the module says
    way = data.draw(st.sampled_from(["remove", "change", "junk", "twice", "swap", "put in"]))
    line = lines[number]
    if way == "remove":
        del lines[number]
    elif way == "change":
        lines[number] = line.replace(b"anna", b"otto")
    elif way == "junk":
        lines[number] = b"junk\n"
    elif way == "twice":
        lines.insert(number, line)
    elif way == "swap":
        lines[number], lines[number + 1] = lines[number + 1], line
    else:
        lines.insert(number + 1, line_of(entry(), json.loads(line)["n"] + 1, hash_of(line.rstrip())) + b"\n")
    path.write_bytes(b"".join(lines))
    with pytest.raises(AuditError, match=r"line \d+: ") as caught:
        verify(path)
    named = int(str(caught.value).split("line ")[1].split(":")[0])
    assert named in range(number + 1, number + 4)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_power_cut_at_any_byte_is_closed_by_the_next_start(tmp_path_factory, data):
    path = written(new_folder(tmp_path_factory), ["start", "manual", "stop"])
    for _ in range(data.draw(st.integers(1, 3))):
        content = path.read_bytes()
        left = content[: data.draw(st.integers(0, len(content)))]
        path.write_bytes(left + data.draw(st.sampled_from([b"", b"\x00" * 9])))
        written(path, ["start"])
        assert verify(path)[0].torn == b""
        assert path.read_bytes().startswith(left[: left.rfind(b"\n") + 1])
        assert records_that_are_whole(path)[-1]["kind"] == "start"


def records_that_are_whole(path):
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def test_a_torn_line_is_named_by_the_record_behind_it(path):
    written(path, ["start", "manual"])
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    (chain,) = verify(path)  # beside a process that is writing, or before the next start
    assert chain.torn
    written(path, ["stop"])
    last, torn = records_that_are_whole(path)[-1], records_that_are_whole(path)[-2]
    assert (torn["kind"], last["kind"]) == ("torn", "stop")
    assert torn["details"]["n_bytes"] == len(content.splitlines()[-1]) - 19


def test_a_line_that_lacks_only_its_end_is_kept(path):
    written(path, ["start", "manual"])
    path.write_bytes(path.read_bytes()[:-1])
    written(path, ["stop"])
    assert [record["kind"] for record in records(path)] == ["begin", "start", "manual", "stop"]


def test_a_rotation_goes_on_in_a_new_file(path):
    written(path, ["start"] * 20, max_bytes=500)
    written(path, ["stop"], max_bytes=500)
    chains = verify(path)
    assert len(chains) > 2
    assert [chain.file.name for chain in chains][:2] == ["audit.jsonl", f"audit-{len(chains) - 1:06d}.jsonl"]
    assert chains[0].before == chains[1].last_sha256
    numbers = [record["n"] for chain in reversed(chains) for record in records(chain.file)]
    assert numbers == list(range(len(numbers)))
    kinds = [record["kind"] for chain in chains for record in records(chain.file)]
    assert kinds.count("start") == 20


def test_a_change_at_the_end_of_an_older_file_shows(path):
    written(path, ["start"] * 6, max_bytes=500)
    older = verify(path)[1].file
    older.write_bytes(b"".join(older.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(AuditError, match=r"audit\.jsonl, line 1"):
        verify(path)


def test_a_power_cut_between_the_two_files_of_a_rotation(path):
    written(path, ["start"])
    path.rename(path.with_name("audit-000001.jsonl"))
    written(path, ["stop"])
    newest, older = verify(path)
    assert newest.continues == older.file.name == "audit-000001.jsonl"


def test_a_file_that_is_moved_away_is_continued_in_a_new_one(path):
    file = opened(path)
    file.append(entry())
    path.rename(path.with_name("moved"))
    file.append(entry("stop"))
    file.close()
    (chain,) = verify(path)
    assert chain.before == verify(path.with_name("moved"))[0].last_sha256
    assert chain.continues is None


def test_two_processes_do_not_write_one_trail(path):
    file = opened(path)
    with pytest.raises(InputError, match="in use"):
        opened(path)
    file.close()
    opened(path).close()


@pytest.mark.parametrize("taken", [0, 30])
def test_a_full_disk_leaves_no_half_line_and_the_chain_goes_on(path, monkeypatch, taken):
    file = opened(path)
    write = os.write

    def full(descriptor, content):
        if taken and len(content) > taken:
            return write(descriptor, content[:taken])
        raise OSError(errno.ENOSPC, "No space left on device")

    for max_bytes in (10**6, 1):  # in a file, and where a new one is begun
        file._max_bytes = max_bytes
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(StorageError, match="full"):
                file.append(entry())
        file.append(entry("manual"))
    file.close()
    assert [chain.torn for chain in verify(path)] == [b""] * len(verify(path))
    kinds = [record["kind"] for chain in verify(path) for record in records(chain.file)]
    assert (kinds.count("manual"), kinds.count("start")) == (2, 0)


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"junk\n", 1), (b"{}\n", 1), (b"[" * 99999 + b"\n", 1), (line_of(entry(), 0, NO_HASH) + b"\n", 1)],
)
def test_what_is_no_audit_trail(tmp_path, content, line):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(AuditError, match=f"line {line}: "):
        verify(tmp_path / "x")
    with pytest.raises(InputError):
        verify(tmp_path / "missing")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_junk_is_refused_or_held_for_the_beginning_of_a_line(tmp_path_factory, content):
    path = new_folder(tmp_path_factory)
    path.write_bytes(content)
    if b"\n" in content:
        with pytest.raises(AuditError):
            verify(path)
    else:
        assert verify(path)[0].torn == content


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


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(1 << 5_000) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(["old", "new", "camera", "é", "\ud800"]), values), st.text(min_size=1))
def test_whatever_is_handed_over_is_written_as_a_line_that_fits(tmp_path_factory, details, text):
    path = new_folder(tmp_path_factory)
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
