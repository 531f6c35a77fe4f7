"""`edgerd demo`: all steps on built-in sample parts, without a network."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgerd.cli.console import say
from edgerd.errors import EdgerdError
from edgerd.paths import exists, is_folder
from edgerd.storage import folder_for, is_taken, storage_errors, sync, write_durably

_MIN_AUROC = 0.95
_STEPS = 60
"""Batches that each student is trained on: sample parts look much alike, and need a third of what `train` takes."""
_N_GOOD = 120
"""Good parts to train on; to settle a false-alarm rate of 1 % without extrapolation takes 99."""
_MARK = "made-by-edgerd-demo.txt"
_MARK_TEXT = (
    b"Everything in this folder was made by edgerd demo, which removes it when it is told to use the folder again.\n"
)


@click.command()
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("edgerd-demo"),
    show_default=True,
    help="The folder to create; an older demo there is replaced.",
)
@click.option("--kind", default="ring", show_default=True, help="What to make: ring, weave or label.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another seed, other parts.")
def demo(out: Path, kind: str, seed: int) -> None:
    """Make sample parts, train, export, build an engine, evaluate, and watch a line; two minutes on two cores.

    Everything stays in the folder OUT, for you to look at and to continue with.
    """
    from edgerd.data.samples import defects_of, write_dataset, write_video

    defects_of(kind)  # a typing error must not cost the last demo
    _clear(out)
    data, run, bundle, video = out / "parts", out / "run", out / "bundle", out / "line.avi"
    say(f"Sample parts of kind {kind!r}: pictures in {data}, a line in {video}")
    write_dataset(data, kind, n_train=_N_GOOD, seed=seed)
    write_video(video, kind, n_parts=60, n_defective=10, seed=seed)
    events, figures = out / "events.jsonl", out / "evaluation.json"
    for arguments in (
        ["train", data, "-o", run, "--steps", _STEPS, "--seed", seed],
        ["export", run, "-o", bundle],
        ["build-engine", bundle],
        ["evaluate", bundle, data, "--json", figures, "--report", out / "report"],
        ["run", "--camera", video, "--bundle", bundle, "--events", events, "--save-video", out / "line-heatmap.mp4"],
    ):
        _edgerd(arguments)
    _judge(json.loads(figures.read_text()), _line_result(video.with_name(video.name + ".json"), events), out)


@dataclass(frozen=True)
class LineResult:
    """How many parts of the sample line were defective and good, and how many of each were called NG."""

    n_defective: int
    n_found: int
    n_good: int
    n_false_alarms: int


def _edgerd(arguments: Sequence[object]) -> None:
    """Show a command as a user would type it, and run it in this process."""
    from edgerd.cli.main import edgerd

    words = [str(argument) for argument in arguments]
    say(click.style(f"\n$ edgerd {shlex.join(words)}", bold=True))
    sys.stdout.flush()
    code = edgerd.main(args=words, standalone_mode=False)
    if code:  # interrupted
        raise click.exceptions.Exit(code)


def _clear(out: Path) -> None:
    """Make room for a new demo where an old one is, however far that got; never touch another folder.

    The mark is the first that comes into the folder, and stays: a demo that was killed at any moment is known by it.
    """
    with storage_errors(out, "Choose another folder with -o."):
        if is_taken(out) and not _is_demo(out):
            raise EdgerdError(
                f"{out} is not empty, and is not a demo.",
                expected="a new or empty folder",
                hint="edgerd demo -o ANOTHER",
            )
        with folder_for(out):
            write_durably(out / _MARK, _MARK_TEXT)
            sync(out)
        for entry in out.iterdir():
            if entry.name != _MARK:
                shutil.rmtree(entry) if is_folder(entry) and not entry.is_symlink() else entry.unlink()


def _is_demo(out: Path) -> bool:
    """Whether a folder is a demo's; those of edgerd 0.1.0 have no mark."""
    return exists(out / _MARK) or (is_folder(out / "parts") and exists(out / "line.avi"))


def _line_result(sidecar: Path, events: Path) -> LineResult:
    parts: list[Mapping[str, Any]] = json.loads(sidecar.read_text())["frames"]
    defective = {part["frame"] for part in parts if part["defect"]}
    lines = events.read_text().splitlines() if exists(events) else []
    alerts = {event["frame"] for event in map(json.loads, lines) if event["kind"] == "alert"}
    return LineResult(len(defective), len(alerts & defective), len(parts) - len(defective), len(alerts - defective))


def _judge(figures: Mapping[str, Any], line: LineResult, out: Path) -> None:
    say(click.style("\nResult", bold=True))
    say(
        f"  on the line: {line.n_found} of {line.n_defective} defective parts found, "
        f"{line.n_false_alarms} of {line.n_good} good parts called NG"
    )
    say(
        f"  on the test pictures: {figures['n_found']} of {figures['n_defective']} found, "
        f"{figures['n_false_alarms']} of {figures['n_good']} called NG; "
        f"image AUROC {figures['image_auroc']:.4f}, pixel AUROC {figures['pixel_auroc']:.4f}"
    )
    say(f"  report: {out / 'report' / 'index.html'}   heatmaps of the line: {out / 'line-heatmap.mp4'}")
    say("Next, with pictures of your own good parts: edgerd train PICTURES -o RUN")
    if figures["image_auroc"] < _MIN_AUROC:
        raise EdgerdError(
            f"The demo's image AUROC is {figures['image_auroc']:.4f}.",
            expected=f"{_MIN_AUROC} or more",
            hint="Report this, together with the output of edgerd doctor.",
        )
