"""What `edgerd build-engine` shows while it runs: a line for each thing that happens, a bar for TensorRT's work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from edgerd.building.assignment import Searched
from edgerd.building.candidates import Candidate, LeftOut, RuntimeSource
from edgerd.building.listener import BuildListener
from edgerd.building.sensitivity import Measured
from edgerd.cli.console import say
from edgerd.cli.gate_table import print_gate
from edgerd.cli.search_table import print_search, report_measured
from edgerd.cli.tensorrt_options import TensorRtChoice
from edgerd.runtimes import load_runtime
from edgerd.runtimes.protocol import Runtime
from edgerd.runtimes.tensorrt.progress import STOPPING, BuildProgress
from edgerd.runtimes.tensorrt.runtime import TensorRt

_LOG_INTERVAL_S = 30.0


class PrintedBuild(BuildListener):
    """Prints what happens, on stdout."""

    def left_out(self, left_out: LeftOut) -> None:
        """Print what is left out, and why."""
        say(str(left_out))

    def assignment_measured(self, runtime: str, measured: Measured) -> None:
        """Print a line for the engine that was measured."""
        report_measured(runtime, measured)

    def search_ended(self, searched: Searched) -> None:
        """Print what each block in high precision is worth, and the choice."""
        print_search(searched)

    def candidate_built(self, candidate: Candidate) -> None:
        """Print one line; for an engine that was refused, also every check of the gate."""
        if candidate.gate.passed:
            say(str(candidate))
        else:
            say(f"{candidate.name}: refused by the gate")
            print_gate(candidate.gate)


class BuildDisplay:
    """Shows TensorRT's phase, its steps and the time on stderr; a context manager.

    On a terminal it is a bar. Elsewhere (a container's log, systemd's journal, CI) it is a line for each phase when it
    begins for the first time, and one every 30 seconds: TensorRT works on several phases in turn, and a line for each
    turn would fill the log. That a build is about to stop is always a line.

    Args:
        console: Where to show it; None for stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._terminal = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._terminal,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._lock = threading.Lock()  # TensorRT's threads report, and the main one when Ctrl-C is pressed
        self._task: TaskID | None = None
        self._named: set[str] = set()
        self._last_line_s = 0.0

    def __enter__(self) -> BuildDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: BuildProgress) -> None:
        """Show how far a build is; from any thread. It raises nothing, because TensorRT's own code calls it."""
        with self._lock:
            if self._terminal:
                self._draw(progress)
            if self._is_news(progress):
                self._named.add(progress.phase)
                self._last_line_s = progress.elapsed_s
                self._print(_line(progress))

    def say(self, line: str) -> None:
        """Print a line for people; the build that was shown has ended, and the next one begins with a new bar."""
        with self._lock:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._last_line_s = None, 0.0
            self._named.clear()
        say(line)

    def _draw(self, progress: BuildProgress) -> None:
        if self._task is None:
            self._task = self._bar.add_task(progress.phase)
        self._bar.update(
            self._task, description=progress.phase, total=progress.n_steps or None, completed=progress.step
        )

    def _is_news(self, progress: BuildProgress) -> bool:
        is_new_phase = progress.phase not in self._named
        if self._terminal:
            return is_new_phase and progress.phase == STOPPING
        return is_new_phase or progress.elapsed_s - self._last_line_s >= _LOG_INTERVAL_S

    def _print(self, line: str) -> None:
        if self._terminal:
            self._bar.console.print(line, markup=False, highlight=False)
            return
        with suppress(OSError):  # nobody reads the log any more: no reason to end a build
            click.echo(line, err=True)


def _line(progress: BuildProgress) -> str:
    steps = f"{progress.step} of {progress.n_steps}, " if progress.n_steps else ""
    return f"TensorRT: {progress.phase}, {steps}{progress.elapsed_s:.0f} s"


@contextmanager
def runtimes_for(choice: TensorRtChoice) -> Iterator[RuntimeSource]:
    """Gives the function that makes runtimes, TensorRT's with these options; its builds are shown meanwhile."""
    with BuildDisplay() as display:

        def runtime_of(name: str) -> Runtime:
            if name != TensorRt.name:
                return load_runtime(name)
            return TensorRt(
                choice.options, timing_cache=choice.timing_cache, say=display.say, on_progress=display.update
            )

        yield runtime_of
