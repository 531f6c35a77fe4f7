"""stdout and stderr: what they may show, and that they may be lost without ending a command.

The disk may be full, or the reader may have gone.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LossyStream(io.RawIOBase):
    """Passes bytes on to a file until that fails for the first time; what comes afterwards is dropped.

    Attributes:
        lost: Why nothing is passed on any more; None as long as everything is.
    """

    def __init__(self, raw: io.FileIO, on_loss: Callable[[OSError], None] = lambda _: None) -> None:
        self.lost: OSError | None = None
        self._raw = raw
        self._on_loss = on_loss

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def fileno(self) -> int:
        """The number of the file that is behind it."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether a terminal is behind it."""
        return self._raw.isatty()

    def write(self, data: ReadableBuffer) -> int | None:
        """Pass bytes on, or drop them; gives how many of them are dealt with."""
        if self.lost is None:
            try:
                return self._raw.write(data)
            except OSError as error:
                self.lost = error
                self._on_loss(error)
        return memoryview(data).nbytes


def colours() -> bool | None:
    """What `click.echo` takes: False where there are to be no colours; None to let click look for a terminal.

    click reads neither NO_COLOR (https://no-color.org) nor TERM, which is "dumb" for a terminal that knows none.
    """
    is_dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return False if os.environ.get("NO_COLOR") or is_dumb else None


def lossy_streams() -> LossyStream | None:
    """Make stdout and stderr lossy.

    Where this process was started with one of its first three files closed, that one is opened on /dev/null: otherwise
    the next file that is opened would get its number, and with it all that is printed.

    Returns:
        The stream behind stdout; None where there is none, or where something else has replaced stdout.
    """
    for number in range(3):
        if _is_closed(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _text_over(LossyStream(_raw_of(sys.stderr)), sys.stderr)
    if sys.stdout is not sys.__stdout__ or not isinstance(sys.stdout, io.TextIOWrapper):
        return None
    stream = LossyStream(_raw_of(sys.stdout), _say_that_stdout_is_lost)
    sys.stdout = _text_over(stream, sys.stdout)
    return stream


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _raw_of(text: io.TextIOWrapper) -> io.FileIO:
    return io.FileIO(text.fileno(), "w", closefd=False)


def _text_over(stream: LossyStream, like: io.TextIOWrapper) -> io.TextIOWrapper:
    """A text stream with the encoding of another one; a character that cannot be encoded is written as its number."""
    return io.TextIOWrapper(
        io.BufferedWriter(stream), like.encoding, "backslashreplace", line_buffering=like.line_buffering
    )


def _say_that_stdout_is_lost(error: OSError) -> None:
    if error.errno != errno.EPIPE:  # a reader that has gone, as `head` does after some lines, wanted no more
        click.echo(f"warning: the output cannot be written ({error.strerror}); going on without it.", err=True)
