"""What commands share: where they print, and how they show progress."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edgerd.storage import storage_errors


def say(line: str) -> None:
    """A line for people, on stdout."""
    click.echo(line)


def warn(line: str) -> None:
    """A warning, on stderr."""
    click.echo(click.style("warning: ", fg="yellow", bold=True) + line, err=True)


@contextmanager
def progress_bar(what: str, total: int | None, unit: str = "pictures") -> Iterator[Callable[[], None]]:
    """A progress bar on stderr with a count and the time left; gives the function to call after each unit."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets once; a second Ctrl-C interrupts at once."""
    stop = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is Python's
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write JSON to a file, or to stdout for "-".

    Raises:
        StorageError: It cannot be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if os.fspath(file) == "-":
        click.echo(text, nl=False)
        return
    with storage_errors(file, "Free some space or choose another file."):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
