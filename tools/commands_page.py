"""Write docs/reference/commands.md from the commands themselves: `python tools/commands_page.py`.

A test fails where the page is not what this script writes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edgerd.cli.main import COMMANDS, edgerd

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"

INTRODUCTION = """\
# Commands

Every command of `edgerd`, with its arguments and options. `edgerd COMMAND --help` prints the same in a terminal.
[Exit codes](exit-codes.md) are the same for all commands. [Events and JSON](events.md) has what `--json`, `--events`
and `--verdicts` write.

An argument in brackets may be left out, and one with dots may be given several times. This page is written by
`tools/commands_page.py`; a test compares.
"""


def page() -> str:
    """The text of docs/reference/commands.md."""
    return "\n\n".join(part.strip() for part in (INTRODUCTION, *_parts())) + "\n"


def _parts() -> Iterator[str]:
    context = click.Context(edgerd, info_name="edgerd", **edgerd.context_settings)
    yield _table_of_commands()
    yield "## Options of all commands"
    yield _table(context)
    for name in COMMANDS:
        command = edgerd.get_command(context, name)
        yield from _command(command, click.Context(command, context, name), level=2)


def _table_of_commands() -> str:
    rows = [f"| [`edgerd {name}`](#edgerd-{name}) | {_escaped(text)} |" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{context.command_path}`"
    yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield _escaped(inspect.cleandoc(command.help or ""))
    yield _table(context)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _command(below, click.Context(below, context, name), level + 1)


def _table(context: click.Context) -> str:
    options = [one for one in context.command.params if isinstance(one, click.Option) and not one.hidden]
    if not options:
        return "There are no options."
    rows = ["| option | value | default | meaning |", "|---|---|---|---|"]
    for option in options:
        value = _value(option) + (", repeatable" if option.multiple else "")
        cells = [_names(option), value, _default(option), _escaped(option.help or "")]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _names(option: click.Option) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _value(option: click.Option) -> str:
    """What is typed behind an option, in words; empty for a switch."""
    kind = option.type
    if option.is_flag:
        return ""
    if option.metavar:
        return " or ".join(f"`{name}`" for name in option.metavar.split("|"))
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    number = "whole number" if isinstance(kind, click.types.IntParamType) else "number"
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        return number + _range(kind)
    if isinstance(kind, (click.types.IntParamType, click.types.FloatParamType)):
        return number
    return "path" if isinstance(kind, click.Path) else "text"


def _range(kind: click.IntRange | click.FloatRange) -> str:
    low = "" if kind.min is None else f"{'above' if kind.min_open else 'from'} {kind.min:g}"
    high = "" if kind.max is None else f"{'below' if kind.max_open else 'to'} {kind.max:g}"
    return ", " + " ".join(bound for bound in (low, high) if bound)


def _default(option: click.Option) -> str:
    if option.required:
        return "must be given"
    default: Any = option.to_info_dict()["default"]
    if option.is_flag:
        return f"`{option.opts[0]}`" if default and option.secondary_opts else ""
    return "" if default in (None, ()) else f"`{default}`"


def _escaped(text: str) -> str:
    """Text of a help message as Markdown: what looks like a tag or a footnote is shown as it is."""
    return text.replace("<", "&lt;").replace("[", "\\[")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
