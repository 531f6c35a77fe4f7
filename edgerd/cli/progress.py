"""What a command is doing and how far it is: one style for all commands, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

_LOG_INTERVAL_S = 30.0
_BAR_WIDTH = 20
_LEAST_TITLE = 24
"""On a narrow terminal the note and the time left are given up before the title becomes shorter than this."""


def stderr_console() -> Console:
    """The console for what renews itself: stderr.

    rich takes FORCE_COLOR for a terminal, and would fill the log of a CI server with control characters.
    """
    return Console(stderr=True, force_terminal=None if _is_terminal(sys.stderr) else False, highlight=False)


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; Python has None where the process was started with this file closed."""
    return stream is not None and stream.isatty()


def clock(seconds: float) -> str:
    """A duration for people: minutes and seconds, 1:05, or hours, minutes and seconds, 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class _State:
    """What is shown.

    Attributes:
        work: What is being done: "calibrating", "openvino int8 (2 of 5)".
        phase: Which part of it; empty where it has none.
        done: How many units of the phase are done.
        total: How many there are; None where that is not known.
        unit: What is counted: "pictures"; empty where nothing is.
        note: What else there is to say.
    """

    work: str = ""
    phase: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """Work and phase."""
        return ": ".join(filter(None, (self.work, self.phase)))

    @property
    def count(self) -> str:
        """How far it is; empty where nothing is counted."""
        if self.total is not None:
            return f"{self.done} of {self.total} {self.unit}".rstrip()
        return f"{self.done} {self.unit}" if self.unit else ""


class ProgressDisplay:
    """Shows what is being done, how far it is and how long it takes; a context manager.

    On a terminal it is one line that renews itself, with a bar and the time that is left, and goes away at the end.
    Elsewhere (a log, systemd's journal, CI, a terminal that cannot move its cursor) it is a plain line every 30 seconds
    for work that takes longer. It may be told from any thread, and raises nothing: nobody's work ends because a log
    cannot be written.

    Args:
        announces: Elsewhere than on a terminal, also write a line when work begins.
        ticks: Let the time run on between two updates. Without it nothing is drawn but by `begin` and `phase`, so that
            what is measured meanwhile has the processor for itself.
        console: Where to show it; None for stderr.

    Attributes:
        redraws: Whether it is a line that renews itself.
    """

    def __init__(self, *, announces: bool = False, ticks: bool = True, console: Console | None = None) -> None:
        console = console or stderr_console()
        self.redraws = console.is_interactive
        self._announces = announces
        self._ticks = ticks
        bar_width = min(_BAR_WIDTH, console.width // 8)
        self._bar = Progress(
            _Title(),
            BarColumn(bar_width=bar_width),
            _Details(self, console.width - bar_width),
            console=console,
            transient=True,
            disable=not self.redraws,
            auto_refresh=ticks,
            redirect_stdout=_is_terminal(sys.stdout),
        )
        self._lock = threading.RLock()
        self._task: TaskID | None = None
        self._began_s = self._said_s = time.monotonic()
        self.state = _State()

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began_s

    def begin(self, work: str, total: int | None = None, unit: str = "", *, phase: str = "") -> None:
        """Begin a piece of work, whose time is counted from now on.

        Args:
            work: What is being done, in a few words.
            total: How many units it has; None where that is not known.
            unit: What is counted, in the plural; empty where nothing is.
            phase: Which part of the work is first.
        """
        with self._lock:
            self._began_s = self._said_s = time.monotonic()
            self.state = _State(work)
            self.phase(phase, total, unit)
            if self._announces:
                self.log(self.state.title)

    def phase(self, phase: str, total: int | None = None, unit: str = "") -> None:
        """Go on with another part of the same work; its units are counted anew."""
        with self._lock:
            if total == 0:  # a count of nothing says nothing: the work has other parts that are not counted
                total, unit = None, ""
            self.state = _State(self.state.work, phase, total=total, unit=unit)
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(self.state.title, total=total)
            if not self._ticks:
                self._bar.refresh()

    def advance(self) -> None:
        """One more unit is done."""
        with self._lock:
            self.update(self.state.done + 1, note=self.state.note)

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show how far it is.

        Args:
            done: How many units are done.
            total: How many there are; None to leave it as it is.
            note: What else there is to say, such as the loss.
        """
        with self._lock:
            state = self.state
            state.done, state.note, state.total = done, note, state.total if total is None else total
            if self.redraws and self._ticks and self._task is not None:
                self._bar.update(self._task, total=state.total, completed=done)
            if not self.redraws and time.monotonic() - self._said_s >= _LOG_INTERVAL_S:
                self._said_s = time.monotonic()
                self.log(", ".join(filter(None, (state.title, state.count, f"{self.elapsed_s:.0f} s", note))))

    def log(self, line: str) -> None:
        """Write a line where nothing renews itself; on a terminal nothing."""
        if not self.redraws:
            with suppress(OSError):  # nobody reads the log any more: no reason to end what is being done
                click.echo(line, err=True)

    def line(self, text: str) -> None:
        """Write a line that stays, on a terminal above the one that renews itself."""
        if self.redraws:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self.log(text)


class _Title(ProgressColumn):
    """What is being done. It is cut before the figures, which tell more: rich narrows columns that may be wrapped."""

    def __init__(self) -> None:
        super().__init__(table_column=Column(no_wrap=False))

    def render(self, task: Task) -> Text:
        """The text of the column."""
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _Details(ProgressColumn):
    """The count, the time that it took and that it will take, and the note; as many of them as there is room for.

    Args:
        display: What it speaks of.
        width: Columns for it and the title.
    """

    def __init__(self, display: ProgressDisplay, width: int) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._display = display
        self._width = width

    def render(self, task: Task) -> Text:
        """The text of the column."""
        state = self._display.state
        left = "" if task.time_remaining is None or task.finished else f"{clock(task.time_remaining)} left"
        parts = [part for part in (state.count, clock(self._display.elapsed_s), left, state.note) if part]
        room = self._width - min(len(state.title), _LEAST_TITLE) - 2
        while len(parts) > 1 and len("  ".join(parts)) > room:
            parts.pop()
        return Text("  ".join(parts))


@contextmanager
def progress(what: str, total: int | None = None, unit: str = "pictures") -> Iterator[Callable[[], None]]:
    """Show how far a piece of work is; gives the function to call after each unit.

    Args:
        what: What is being done, in a few words.
        total: How many units it has; None where that is not known.
        unit: What is counted, in the plural; empty where nothing is.
    """
    with ProgressDisplay() as display:
        display.begin(what, total, unit)
        yield display.advance
