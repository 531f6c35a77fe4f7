"""`edgerd run`: watch cameras and raise defect alerts."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from edgerd.cli.console import make_room_for, speaker, write_json
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import device_options, json_option, precision_option, runtime_option, threads_option
from edgerd.cli.run_cameras import CameraOptions, RunOutcome, run_cameras
from edgerd.cli.run_recipe import check_recipe, run_recipe
from edgerd.cli.run_report import report, summaries_json
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.line.summary import Ended, RunSummary
from edgerd.sinks.jsonl import JsonlSink
from edgerd.sinks.protocol import Sink
from edgerd.station.check import check_judged

_SET_BY_A_RECIPE = frozenset(
    (
        "uris",
        "path",
        "runtime",
        "precision",
        "threads",
        "threshold",
        "frames",
        "policy",
        "confirm",
        "show",
        "save_video",
        "save_ng",
    )
)


@click.command()
@click.option(
    "--camera",
    "uris",
    metavar="URI",
    multiple=True,
    help="0, /dev/video0, csi://0, rtsp://..., a video, a folder, ...; once for each camera of the line.",
)
@click.option(
    "--recipe",
    "recipe",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Run the line that this file describes (edgerd.toml), instead of --camera. edgerd init writes one.",
)
@click.option("--bundle", "path", type=click.Path(path_type=Path), help="The newest bundle in this folder by default.")
@runtime_option
@precision_option
@threads_option
@device_options
@click.option("--keep-warm/--no-keep-warm", default=True, help="While no frames come, keep the GPU's clocks up.")
@click.option("--threshold", type=float, help="Use this threshold instead of the engine's own.")
@click.option("--frames", type=click.Choice(["newest", "every"]), help="newest for live cameras, every for files.")
@click.option(
    "--policy",
    type=click.Choice(["part", "stream"]),
    help="part: every NG frame is an alert (files). stream: an alert lasts from the first NG frame until the score has "
    "fallen again (live cameras).",
)
@click.option(
    "--confirm",
    metavar="K/N",
    callback=lambda _context, _option, value: _confirmation(value),
    help="With stream: raise an alert only at the K-th NG among the last N frames, such as 2/3. Defects that show for "
    "fewer frames raise nothing; they are counted.",
)
@click.option(
    "--events",
    type=click.Path(),
    metavar="FILE.jsonl",
    help="Append alerts, and what happens to the camera and the device, here; - for stdout.",
)
@click.option("--verdicts", type=click.Path(), metavar="FILE.jsonl", help="Append a line per frame here; - for stdout.")
@click.option("--max-frames", type=click.IntRange(1), help="End after this many frames of each camera.")
@json_option
@click.option("--show", is_flag=True, help="Show the frames with the heatmap in a window; q ends the run.")
@click.option(
    "--save-video",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the frames with the heatmap to a video (.mp4, .avi).",
)
@click.option(
    "--save-ng",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep picture, heatmap and record of every NG and NO_DECISION frame here.",
)
@click.option("--check", is_flag=True, help="Check the bundle and each camera on one frame, then end.")
@click.option("--profile", is_flag=True, help="Measure the engine separately.")
def run(
    uris: tuple[str, ...],
    recipe: Path | None,
    path: Path | None,
    runtime: str | None,
    precision: str | None,
    threads: int,
    device: DeviceOptions,
    keep_warm: bool,
    threshold: float | None,
    frames: Literal["newest", "every"] | None,
    policy: Literal["part", "stream"] | None,
    confirm: tuple[int, int] | None,
    events: str | None,
    verdicts: str | None,
    max_frames: int | None,
    json_file: Path | None,
    show: bool,
    save_video: Path | None,
    save_ng: Path | None,
    check: bool,
    profile: bool,
) -> None:
    """Inspect the frames of a camera, of several, or of a recipe's, and raise an alert for each defect.

    Ctrl-C ends the run with a summary; so do SIGTERM and SIGHUP. The exit code is then 0 for a live camera, which never
    ends by itself, and 130 for files that were not finished. If one of the files is "-", the lines for people go to
    stderr. Only events that cannot be written end a run; what else fails beside it (--verdicts, --save-video, --show)
    is left out, counted and named at the end.
    """
    say = speaker(events, verdicts, json_file)
    device = replace(device, keep_warm=keep_warm, profile=profile)
    if recipe is not None:
        _check_alone_with_recipe(click.get_current_context())
        if check:
            check_recipe(recipe, device, say)
            return
    elif not uris:
        raise click.UsageError("Missing option '--camera', or '--recipe'.")
    make_room_for(events, verdicts, json_file, save_video)
    with ExitStack() as stack:
        event_sinks = () if check else _sinks(stack, events)  # a check raises no alert
        verdict_sinks = _sinks(stack, verdicts)
        if recipe is not None:
            outcome = run_recipe(
                recipe,
                device=device,
                event_sinks=event_sinks,
                verdict_sinks=verdict_sinks,
                max_frames=max_frames,
                say=say,
            )
        else:
            options = CameraOptions(
                uris=uris,
                bundle=path,
                runtime=runtime,
                precision=precision,
                threads=threads,
                device=device,
                threshold=threshold,
                frames=frames,
                policy=policy,
                confirm=confirm,
                max_frames=1 if check else max_frames,
                show=show,
                save_video=save_video,
                save_ng=save_ng,
            )
            outcome = run_cameras(options, event_sinks=event_sinks, verdict_sinks=verdict_sinks, verify=check, say=say)
    report(outcome.summaries, say, outcome.records)
    _write(json_file, outcome.summaries)
    _exit_if_unfinished(outcome)
    if check:
        for summary in outcome.summaries:
            check_judged(summary)
        say("The check passed: bundle, engine and camera work.")


def _write(json_file: Path | None, summaries: list[RunSummary]) -> None:
    """Write the figures, then raise the error that ended a camera's run, even where they could not be written."""
    try:
        if json_file:
            write_json(json_file, summaries_json(summaries))
    finally:
        for summary in summaries:
            summary.raise_for_error()


def _check_alone_with_recipe(context: click.Context) -> None:
    """Refuse options that set what the recipe sets."""
    given = ParameterSource.COMMANDLINE
    others = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _SET_BY_A_RECIPE and context.get_parameter_source(parameter.name) is given
    ]
    if others:
        raise click.UsageError(f"{', '.join(others)}: with --recipe, the recipe says that.")


def _exit_if_unfinished(outcome: RunOutcome) -> None:
    """Exit with 130 where frames were left to inspect; a live camera that was stopped has done its work."""
    for summary, is_live in zip(outcome.summaries, outcome.live, strict=True):
        if summary.ended is Ended.INTERRUPTED or (summary.ended is Ended.STOPPED and not is_live):
            raise click.exceptions.Exit(INTERRUPTED)


def _confirmation(text: str | None) -> tuple[int, int] | None:
    """K and N of "K/N"."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    k, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= k <= n:
        raise click.BadParameter(f"{text!r} is not K/N with 1 <= K <= N, such as 2/3.", param_hint="--confirm")
    return k, n


def _sinks(stack: ExitStack, target: str | None) -> tuple[Sink, ...]:
    if target is None:
        return ()
    sink = JsonlSink(target)
    stack.callback(sink.close)
    return (sink,)
