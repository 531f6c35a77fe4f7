"""What `edgerd build-engine` shows while it runs: what it is busy with, and a line for each thing that happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from edgerd.building.assignment import Searched
from edgerd.building.candidates import Candidate, LeftOut, RuntimeSource
from edgerd.building.listener import BuildListener, BuildStep
from edgerd.building.sensitivity import Measured
from edgerd.cli.console import say
from edgerd.cli.gate_table import print_gate
from edgerd.cli.progress import ProgressDisplay
from edgerd.cli.search_table import print_search, report_measured
from edgerd.cli.tensorrt_options import TensorRtChoice
from edgerd.runtimes import load_runtime
from edgerd.runtimes.protocol import Runtime
from edgerd.runtimes.tensorrt.progress import STOPPING, BuildProgress
from edgerd.runtimes.tensorrt.runtime import TensorRt

_LOG_INTERVAL_S = 30.0


class BuildDisplay:
    """Shows on stderr which engine is being built or judged, TensorRT's phases and the time; a context manager.

    In a log each engine has a line when it is begun, where that is asked for. TensorRT's phases have one each when they
    begin for the first time, and one every 30 seconds: TensorRT works on several phases in turn, and a line for each
    turn would fill the log. That a build is about to stop is always a line.

    Args:
        announces: Write a line to a log when an engine is begun.
        console: Where to show it; None for stderr.
    """

    def __init__(self, *, announces: bool = True, console: Console | None = None) -> None:
        self._shown = ProgressDisplay(announces=announces, console=console)
        self._lock = threading.Lock()  # TensorRT's threads report, and the main one when Ctrl-C is pressed
        self._named: set[str] = set()
        self._last_line_s = 0.0

    def __enter__(self) -> BuildDisplay:
        self._shown.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.__exit__()

    def begin(self, step: BuildStep) -> None:
        """Show what a build has begun to do."""
        total, unit = (step.n_pictures, "pictures") if step.n_pictures else (None, "")
        if step.title and step.title == self._shown.state.work:
            self._shown.phase(step.what, total, unit)
        else:
            self._shown.begin(step.title, total, unit, phase=step.what)

    def advance(self) -> None:
        """One more picture of the step is done."""
        self._shown.advance()

    def update(self, progress: BuildProgress) -> None:
        """Show how far TensorRT's build is; from any thread. It raises nothing, since TensorRT's own code calls it."""
        with self._lock:
            if self._shown.redraws:
                if self._shown.state.phase != progress.phase:
                    self._shown.phase(progress.phase, progress.n_steps or None)
                self._shown.update(progress.step)
            if self._is_news(progress):
                self._named.add(progress.phase)
                self._last_line_s = progress.elapsed_s
                self._shown.line(_line(progress))

    def say(self, line: str) -> None:
        """Print a line for people; the build that was shown has ended, and the next one is shown anew."""
        with self._lock:
            self._last_line_s = 0.0
            self._named.clear()
        say(line)

    def _is_news(self, progress: BuildProgress) -> bool:
        is_new_phase = progress.phase not in self._named
        if self._shown.redraws:
            return is_new_phase and progress.phase == STOPPING
        return is_new_phase or progress.elapsed_s - self._last_line_s >= _LOG_INTERVAL_S


def _line(progress: BuildProgress) -> str:
    steps = f"{progress.step} of {progress.n_steps}, " if progress.n_steps else ""
    return f"TensorRT: {progress.phase}, {steps}{progress.elapsed_s:.0f} s"


class PrintedBuild(BuildListener):
    """Shows what a build is busy with, and prints what has happened, on stdout.

    Args:
        display: Shows what is going on.
    """

    def __init__(self, display: BuildDisplay) -> None:
        self._display = display

    def step_begins(self, step: BuildStep) -> None:
        """Show the step."""
        self._display.begin(step)

    def picture_done(self) -> None:
        """Show how far the step is."""
        self._display.advance()

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


@contextmanager
def runtimes_for(choice: TensorRtChoice) -> Iterator[tuple[RuntimeSource, BuildDisplay]]:
    """Gives the function that makes runtimes, TensorRT's with these options, and what shows their builds meanwhile."""
    with BuildDisplay() as display:

        def runtime_of(name: str) -> Runtime:
            if name != TensorRt.name:
                return load_runtime(name)
            return TensorRt(
                choice.options, timing_cache=choice.timing_cache, say=display.say, on_progress=display.update
            )

        yield runtime_of, display
