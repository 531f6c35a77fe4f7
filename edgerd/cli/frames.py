"""`edgerd frames`: pictures to train on, out of a video or from a camera."""

from __future__ import annotations

import threading
from pathlib import Path

import click
from click.core import ParameterSource

from edgerd.cli.console import counted, quoted, say, stop_on_interrupt, warn
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import FiniteRange
from edgerd.cli.progress import ProgressDisplay
from edgerd.cli.video import constant_rate
from edgerd.errors import CameraError
from edgerd.steps.frames import COUNT, Spread, TakenFrames, take_frames

_FEW = 50
"""Fewer pictures than this train poorly."""


@click.command()
@click.argument("uri", metavar="VIDEO|URI")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="The folder for the pictures, new or empty."
)
@click.option(
    "--count", type=click.IntRange(1), default=COUNT, show_default=True, help="Take so many at most, evenly spread."
)
@click.option(
    "--every",
    "every_s",
    type=FiniteRange(0, min_open=True),
    metavar="S",
    help="Take one every S seconds instead; all of them unless --count is given too.",
)
@click.option(
    "--minutes",
    type=FiniteRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Watch a live camera for so long.",
)
@click.pass_context
def frames(context: click.Context, uri: str, out: Path, count: int, every_s: float | None, minutes: float) -> None:
    """Take varied frames of good parts out of a video, or from a camera, as PNG files for `edgerd train`.

    They are spread over time, and none is nearly the same as another one: a belt that stands still gives one picture.
    Damaged and black frames are left out. Look through the pictures before you train on them.
    """
    count_is_given = context.get_parameter_source("count") is not ParameterSource.DEFAULT
    spread = Spread(count if count_is_given or every_s is None else None, every_s, minutes)
    stop = threading.Event()
    taken = _take(uri, out, spread, stop)
    _report(taken)
    if stop.is_set():
        warn("Interrupted; what was taken so far stays.")
        raise click.exceptions.Exit(INTERRUPTED)
    if taken.early_end:
        warn(taken.early_end)
    if len(taken.files) < _FEW:
        warn(f"{counted(len(taken.files), 'picture')} train poorly: {_FEW} and more of different parts are wanted.")
    say(f"Next: remove from {out} what shows no whole good part, then: edgerd train {quoted(out)} -o RUN")


def _take(uri: str, out: Path, spread: Spread, stop: threading.Event) -> TakenFrames:
    rate = constant_rate(uri)
    with stop_on_interrupt(stop), ProgressDisplay() as shown:
        shown.begin("looking at frames", unit="frames")
        try:
            return take_frames(
                uri,
                out,
                spread,
                frames_per_s=None if rate is None else float(rate),
                say=warn,
                on_frame=lambda n_read, n_taken, n_all: shown.update(n_read, n_all, f"{n_taken} taken"),
                stop=stop,
            )
        except CameraError:
            if n_taken := len(list(out.glob("*.png"))):
                warn(f"{counted(n_taken, 'picture')} from before that {'is' if n_taken == 1 else 'are'} in {out}.")
            raise


def _report(taken: TakenFrames) -> None:
    say(f"{counted(taken.n_read, 'frame')} looked at, {len(taken.files)} taken, in {taken.folder}")
    for reason, n in sorted(taken.left_out.items(), key=lambda item: -item[1]):
        say(f"  {n} left out: {reason}")
