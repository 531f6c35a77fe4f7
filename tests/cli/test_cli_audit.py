"""`edgerd audit`: 0 where the trail is as it was written, 3 where it is not."""

from __future__ import annotations

import pytest

from edgerd.audit import AuditTrail


@pytest.fixture
def trail(tmp_path):
    path = tmp_path / "audit.jsonl"
    with AuditTrail(path, "ab" * 32) as trail:
        trail.record("start", "The line was started.")
        trail.record("stop", "The line was stopped.")
    return path


def test_an_unchanged_trail(edgerd, trail):
    result = edgerd("audit", trail)
    assert (result.exit_code, result.err) == (0, "")
    assert "3 lines from 20" in result.out
    assert "last hash " in result.out


def test_a_changed_line_is_named(edgerd, trail):
    trail.write_bytes(trail.read_bytes().replace(b"started", b"stirred"))
    result = edgerd("audit", trail)
    assert result.exit_code == 3
    assert f"{trail}, line 3: " in result.err


def test_a_torn_end_and_a_missing_older_file_are_warnings(edgerd, trail):
    trail.rename(trail.with_name("audit-000001.jsonl"))
    with AuditTrail(trail, "ab" * 32) as again:
        again.record("start", "The line was started.")
    trail.write_bytes(trail.read_bytes()[:-9])
    assert "ends within a line" in edgerd("audit", trail).err
    trail.with_name("audit-000001.jsonl").unlink()
    result = edgerd("audit", trail)
    assert result.exit_code == 0
    assert "audit-000001.jsonl, which is not here" in result.err


def test_a_missing_file(edgerd, tmp_path):
    assert edgerd("audit", tmp_path / "x").exit_code == 2
