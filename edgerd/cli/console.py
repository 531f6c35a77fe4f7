"""What commands share: where they print, in which colours, and how they end."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

import click
from rich.console import Console
from rich.table import Table

from edgerd.cli.output import colours
from edgerd.paths import exists, is_file
from edgerd.storage import replaced_file, storage_errors

if TYPE_CHECKING:
    from edgerd.line.summary import RunSummary

_ANOTHER_FILE = "Free some space or choose another file."
_NAMED = 10


def say(line: str) -> None:
    """Print a line for people, on stdout."""
    click.echo(line, color=colours())


def print_table(table: Table) -> None:
    """Print a table for people, on stdout."""
    Console(highlight=False).print(table)


def speaker(*targets: str | Path | None) -> Callable[[str], None]:
    """Where lines for people go while files are written: stdout, or stderr where one of the files is "-"."""
    to_stderr = any(os.fspath(target) == "-" for target in targets if target is not None)
    return lambda line: click.echo(line, err=to_stderr)


def quoted(path: Path) -> str:
    """A path as one types it in a shell."""
    return shlex.quote(str(path))


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 frame, 2 frames."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def print_latencies(say: Callable[[str], None], summary: RunSummary, *, with_capture: bool) -> None:
    """Print a line with the percentiles of each latency that was measured.

    Args:
        say: Prints a line.
        summary: What a run has measured.
        with_capture: Whether a camera captured the frames, so that the time since then means something.
    """
    for label, figures in (
        ("engine", summary.engine_ms),
        ("frame in memory to verdict", summary.frame_ms),
        ("capture to verdict", summary.capture_to_verdict_ms if with_capture else None),
    ):
        if figures and figures["n"]:
            p50, p95, p99 = figures["p50"], figures["p95"], figures["p99"]
            say(f"  {label:27} p50 {p50:.2f}  p95 {p95:.2f}  p99 {p99:.2f} ms")


def warn(line: str) -> None:
    """Print a warning, on stderr."""
    click.echo(click.style("warning: ", fg="yellow", bold=True) + line, err=True, color=colours())


def warn_of_left_out(skipped: Mapping[str, str]) -> None:
    """Name the pictures that could not be read, each with its reason: the first few, then how many more there are."""
    for file, reason in list(skipped.items())[:_NAMED]:
        warn(f"left out {file}: {reason}")
    if len(skipped) > _NAMED:
        warn(f"left out {len(skipped) - _NAMED} more pictures that cannot be read, {len(skipped)} in all.")


def would_block(stream: TextIO) -> bool:
    """Whether a line would wait for a reader who has stopped reading: a terminal after Ctrl-S, a pipe that is full."""
    if sys.platform == "win32":  # it can wait for sockets only
        return False
    try:
        waits = select.poll()
        waits.register(stream.fileno(), select.POLLOUT)
        return not waits.poll(0)
    except (OSError, ValueError):  # it is no file, or closed: the attempt to write will tell
        return False


@contextmanager
def stop_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """Within the block, the first Ctrl-C, SIGTERM or SIGHUP sets `stop`; a second one interrupts at once.

    SIGHUP (a terminal or a remote shell that is closed) ends the work as SIGTERM does, with its files complete; where
    it is ignored already, as under `nohup`, it stays so.
    """

    def request(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is Python's
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, request) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def make_room_for(*files: str | Path | None) -> None:
    """Make the folders that files will be written to; None and "-" need none.

    Raises:
        StorageError: One cannot be made.
    """
    for path in [Path(file) for file in files if file is not None]:
        with storage_errors(path, _ANOTHER_FILE):
            path.parent.mkdir(parents=True, exist_ok=True)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write JSON to a file, or to stdout for "-"; an older file stays until it is replaced as a whole.

    Raises:
        StorageError: It cannot be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if os.fspath(file) == "-":
        click.echo(text, nl=False)
        return
    make_room_for(file)
    with storage_errors(file, _ANOTHER_FILE):
        # Not replaced: a pipe, and the file behind /dev/stdout, in which other output may stand already.
        if file.is_symlink() or (exists(file) and not is_file(file)):
            file.write_text(text)
            return
        with replaced_file(file) as part:
            part.write_text(text)
