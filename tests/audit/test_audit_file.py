"""The file of an audit trail goes on after a restart, a power cut, a rotation and a full disk."""

from __future__ import annotations

import errno
import json
import os

import pytest
from audit_files import entry, new_path, opened, records, written
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.audit import verify
from edgerd.errors import InputError, StorageError


def test_a_restart_goes_on(path):
    written(path, ["start"])
    written(path, ["start", "stop"])
    assert [record["n"] for record in records(path)] == [0, 1, 2, 3]
    assert verify(path)[0].n_lines == 4


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_power_cut_at_any_byte_is_closed_by_the_next_start(tmp_path_factory, data):
    path = written(new_path(tmp_path_factory), ["start", "manual", "stop"])
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
