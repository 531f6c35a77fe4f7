"""`edgerd outbox`: what waits, what was refused, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgerd.delivery import Outbox
from edgerd.events import Alert, uuid7


def opened(folder: Path, *sinks: str) -> Outbox:
    return Outbox.open(folder, sinks, on_warning=lambda _: None)


def frames(outbox: Outbox, sink: str) -> list[int]:
    return [stored.event["frame"] for stored in outbox.take(sink, 100)]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Outbox]:
    """A line that runs, with six events: `broker` has none, `hook` has refused three and has the others."""
    outbox = opened(tmp_path / "outbox", "broker", "hook")
    outbox.append([Alert(uuid7(), "raised", "line-1", frame, "x", 1.5, 2.5, 0.75, 0.5) for frame in range(6)])
    outbox.flush(10)
    for stored in outbox.take("hook", 10):
        if stored.number % 2:
            outbox.refused("hook", stored.number, f"It says no to {stored.number}.")
        else:
            outbox.delivered("hook", stored.number)
    outbox.flush(10)
    yield outbox
    outbox.close(10)


def test_what_waits_is_listed_beside_a_line_that_runs(edgerd: Callable[..., Any], line: Outbox, tmp_path: Path) -> None:
    result = edgerd("outbox", tmp_path / "outbox", "list")
    assert result.exit_code == 0
    rows = [row.split() for row in result.out.splitlines()]
    assert rows[0] == ["sink", "waiting", "oldest"]
    assert rows[1][:2] == ["broker", "6"]
    assert rows[1][-1] == "UTC"
    assert rows[2] == ["hook", "0"]
    assert "3 dead letters:" in result.out
    assert "It says no to 3." in result.out
    assert "alert raised, camera line-1" in result.out


def test_the_list_as_json(edgerd: Callable[..., Any], line: Outbox, tmp_path: Path) -> None:
    result = edgerd("outbox", tmp_path / "outbox", "list", "--json", "-")
    record = json.loads(result.out)
    assert [(sink["name"], sink["waiting"]) for sink in record["sinks"]] == [("broker", 6), ("hook", 0)]
    assert [(letter["number"], letter["event"]["frame"]) for letter in record["dead_letters"]] == [
        (1, 0),
        (2, 2),
        (3, 4),
    ]


@pytest.mark.parametrize(
    ("chosen", "again"), [(["--all"], [0, 2, 4]), (["--sink", "hook"], [0, 2, 4]), (["2"], [2]), (["3", "1"], [4, 0])]
)
def test_dead_letters_are_sent_again(
    edgerd: Callable[..., Any], line: Outbox, tmp_path: Path, chosen: list[str], again: list[int]
) -> None:
    line.close(10)
    result = edgerd("outbox", tmp_path / "outbox", "retry", *chosen)
    assert result.exit_code == 0, result.err
    assert f"{len(again)} dead letter" in result.out
    outbox = opened(tmp_path / "outbox", "broker", "hook")
    assert frames(outbox, "hook") == again
    assert frames(outbox, "broker") == [0, 1, 2, 3, 4, 5], "they are for the sink alone that refused them"
    outbox.close(10)
    assert f"{3 - len(again)} dead letter" in edgerd("outbox", tmp_path / "outbox", "list").out


def test_dead_letters_are_dropped(edgerd: Callable[..., Any], line: Outbox, tmp_path: Path) -> None:
    line.close(10)
    assert "1 dead letter deleted." in edgerd("outbox", tmp_path / "outbox", "drop", "2").out
    assert "2 dead letters deleted." in edgerd("outbox", tmp_path / "outbox", "drop", "--all").out
    assert "0 dead letters." in edgerd("outbox", tmp_path / "outbox", "list").out
    outbox = opened(tmp_path / "outbox", "broker", "hook")
    assert frames(outbox, "hook") == []
    assert frames(outbox, "broker") == [0, 1, 2, 3, 4, 5]
    outbox.close(10)


def test_a_sink_that_is_not_used_any_more_is_forgotten(
    edgerd: Callable[..., Any], line: Outbox, tmp_path: Path
) -> None:
    line.close(10)
    result = edgerd("outbox", tmp_path / "outbox", "drop", "--sink", "broker", "--waiting")
    assert "The sink broker is forgotten, with 6 events that waited for it and 0 dead letters." in result.out
    assert "broker" not in edgerd("outbox", tmp_path / "outbox", "list").out


def test_nothing_is_changed_while_a_line_runs(edgerd: Callable[..., Any], line: Outbox, tmp_path: Path) -> None:
    for command in ("retry", "drop"):
        result = edgerd("outbox", tmp_path / "outbox", command, "--all")
        assert result.exit_code == 2
        assert "is in use: process" in result.err
        assert "Stop the `edgerd run`" in result.err
    assert "3 dead letters:" in edgerd("outbox", tmp_path / "outbox", "list").out


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["retry"], "NUMBER"),
        (["drop", "1", "--all"], "NUMBER"),
        (["drop", "--all", "--waiting"], "--waiting needs --sink"),
        (["retry", "9"], "There is no dead letter 9.\nExpected: one of 1, 2, 3"),
        (["drop", "--sink", "hok"], "Did you mean 'hook'?"),
        ([], "Missing command"),
    ],
)
def test_typing_errors(
    edgerd: Callable[..., Any], line: Outbox, tmp_path: Path, arguments: list[str], shown: str
) -> None:
    line.close(10)
    result = edgerd("outbox", tmp_path / "outbox", *arguments)
    assert result.exit_code == 2
    assert shown in result.err


def test_a_folder_without_an_outbox_is_not_made_into_one(edgerd: Callable[..., Any], tmp_path: Path) -> None:
    for command in (["list"], ["retry", "--all"]):
        result = edgerd("outbox", tmp_path / "nothing", *command)
        assert result.exit_code == 2
        assert "There is no outbox at" in result.err
    assert not (tmp_path / "nothing").exists()


def test_a_damaged_outbox_says_so(edgerd: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"no database" * 1000)
    result = edgerd("outbox", tmp_path, "list")
    assert result.exit_code == 1
    assert "not a database" in result.err
