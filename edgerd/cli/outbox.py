"""`edgerd outbox`: what waits in an outbox for which sink, and what was refused; send it again, or drop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from functools import wraps
from pathlib import Path
from typing import Any

import click

from edgerd.cli.console import counted, say, speaker, write_json
from edgerd.cli.options import json_option
from edgerd.delivery.database import Database
from edgerd.delivery.opening import database_errors, open_for_reading, opened_for_changes
from edgerd.delivery.rows import DeadLetter, Waiting
from edgerd.errors import InputError
from edgerd.tables import did_you_mean


@click.group()
@click.argument("folder", metavar="PATH", type=click.Path(path_type=Path))
@click.pass_context
def outbox(context: click.Context, folder: Path) -> None:
    """Look at the outbox in the folder PATH, or change what is in it.

    Events that a sink refused for good are dead letters, each with a number. `list` works while a line runs; the others
    change the outbox and need the line to be stopped.
    """
    context.obj = folder


@outbox.command("list")
@json_option
@click.pass_obj
def list_(folder: Path, json_file: Path | None) -> None:
    """Show what waits per sink, and the dead letters with their reasons."""
    with database_errors(folder), closing(open_for_reading(folder)) as database:
        waiting = {name: database.waiting(name, cursor) for name, cursor in database.cursors().items()}
        letters = database.dead_letters()
    _print(speaker(json_file), waiting, letters)
    if json_file is not None:
        write_json(json_file, _record(waiting, letters))


def _letters_are_chosen(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments that choose dead letters to a command, which gets the database and the letters."""

    @click.argument("numbers", metavar="[NUMBER]...", type=int, nargs=-1)
    @click.option("--sink", help="All dead letters of this sink.")
    @click.option("--all", "all_", is_flag=True, help="All dead letters.")
    @click.pass_obj
    @wraps(command)
    def with_letters(folder: Path, /, numbers: Sequence[int], sink: str | None, all_: bool, **arguments: Any) -> None:
        if bool(numbers) + bool(sink) + all_ != 1:
            raise click.UsageError("Name dead letters by NUMBER, or all of one sink by --sink, or all by --all.")
        with opened_for_changes(folder) as database:
            command(database, _chosen(database, numbers, sink), sink=sink, **arguments)

    return with_letters


@outbox.command()
@_letters_are_chosen
def retry(database: Database, letters: Sequence[DeadLetter], sink: str | None) -> None:  # noqa: ARG001  for `drop`
    """Let dead letters wait for their sinks again, behind what waits already."""
    database.resend(letters)
    say(f"{counted(len(letters), 'dead letter')} will be sent again by the next run.")


@outbox.command()
@_letters_are_chosen
@click.option("--waiting", is_flag=True, help="With --sink: forget the sink, and what still waits for it.")
def drop(database: Database, letters: Sequence[DeadLetter], sink: str | None, waiting: bool) -> None:
    """Delete dead letters, or all that there is for a sink that is not used any more."""
    if not waiting:
        database.drop(letters)
        say(f"{counted(len(letters), 'dead letter')} deleted.")
        return
    if sink is None:
        raise click.UsageError("--waiting needs --sink.")
    n_waiting = database.waiting(sink, database.cursors()[sink]).n_events
    database.forget_sink(sink)
    say(
        f"The sink {sink} is forgotten, with {counted(n_waiting, 'event')} that waited for it and "
        f"{counted(len(letters), 'dead letter')}."
    )


def _chosen(database: Database, numbers: Sequence[int], sink: str | None) -> list[DeadLetter]:
    letters = {letter.number: letter for letter in database.dead_letters()}
    if missing := [number for number in numbers if number not in letters]:
        raise InputError(
            f"There is no dead letter {missing[0]}.",
            expected=f"one of {', '.join(map(str, letters))}" if letters else "none: there are no dead letters",
        )
    known = {letter.sink for letter in letters.values()} | set(database.cursors())
    if sink is not None and sink not in known:
        raise InputError(
            f"There is no sink {sink!r} in this outbox.",
            expected=f"one of {', '.join(sorted(known))}" if known else None,
            hint=did_you_mean(sink, known),
        )
    return [letters[number] for number in dict.fromkeys(numbers)] or [
        letter for letter in letters.values() if sink in (None, letter.sink)
    ]


def _print(say: Callable[[str], None], waiting: Mapping[str, Waiting], letters: Sequence[DeadLetter]) -> None:
    width = max([len("sink"), *map(len, waiting)])
    say(f"{'sink':{width}}  {'waiting':>7}  oldest")
    for name, what in waiting.items():
        say(f"{name:{width}}  {what.n_events:7}  {_time(what.oldest_at)}".rstrip())
    say("")
    say(f"{counted(len(letters), 'dead letter')}{':' if letters else '.'}")
    for letter in letters:
        say(f"{letter.number:5}  {letter.sink}, {_time(letter.refused_at)}: {_describe(letter.event)}")
        say(f"       {letter.reason}")


def _describe(event: Mapping[str, Any]) -> str:
    return f"{event.get('kind')} {event.get('state')}, camera {event.get('camera')}, id {event.get('id')}"


def _record(waiting: Mapping[str, Waiting], letters: Sequence[DeadLetter]) -> dict[str, Any]:
    return {
        "sinks": [
            {"name": name, "waiting": what.n_events, "oldest_at": what.oldest_at} for name, what in waiting.items()
        ],
        "dead_letters": [
            {
                "number": letter.number,
                "sink": letter.sink,
                "refused_at": letter.refused_at,
                "reason": letter.reason,
                "event": letter.event,
            }
            for letter in letters
        ],
    }


def _time(unix_s: float | None) -> str:
    return "" if unix_s is None else f"{datetime.fromtimestamp(unix_s, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
