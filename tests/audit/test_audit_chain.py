"""Whatever is changed in an audit trail shows when it is verified."""

from __future__ import annotations

import json

import pytest
from audit_files import RECIPE, entry, new_path, records, written
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.audit import verify
from edgerd.audit.chain import NO_HASH, hash_of, line_of
from edgerd.errors import AuditError, InputError

ENTRIES = st.sampled_from(["start", "stop", "recipe", "change", "manual", "camera"])


def test_each_line_holds_the_hash_of_the_one_before_and_the_first_that_of_the_recipe(path):
    written(path, ["start", "camera", "stop"])
    lines = path.read_bytes().splitlines()
    assert [record["kind"] for record in records(path)] == ["begin", "start", "camera", "stop"]
    assert records(path)[0]["details"] == {"recipe": RECIPE, "continues": None}
    assert [record["before"] for record in records(path)] == [NO_HASH, *map(hash_of, lines[:-1])]
    (chain,) = verify(path)
    assert (chain.n_lines, chain.last_n, chain.last_sha256) == (4, 3, hash_of(lines[-1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_any_change_inside_the_chain_shows(tmp_path_factory, kinds, data):
    path = written(new_path(tmp_path_factory), kinds)
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


def test_a_change_at_the_end_of_an_older_file_shows(path):
    written(path, ["start"] * 6, max_bytes=500)
    older = verify(path)[1].file
    older.write_bytes(b"".join(older.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(AuditError, match=r"audit\.jsonl, line 1"):
        verify(path)


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
    path = new_path(tmp_path_factory)
    path.write_bytes(content)
    if b"\n" in content:
        with pytest.raises(AuditError):
            verify(path)
    else:
        assert verify(path)[0].torn == content
