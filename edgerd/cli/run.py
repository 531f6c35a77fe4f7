"""`edgerd run`: watch a camera and raise defect alerts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from edgerd.bundle import Bundle, find_bundle
from edgerd.cameras import open_camera
from edgerd.cli.console import counted, make_room_for, print_latencies, speaker, stop_on_interrupt, warn, write_json
from edgerd.cli.doubts import warn_of_doubts
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import device_options, json_option, precision_option, runtime_option, threads_option
from edgerd.cli.status import StatusLine
from edgerd.cli.view import Recorder, Window
from edgerd.errors import CameraError
from edgerd.inspection.decision import PartPolicy, Policy, StreamPolicy
from edgerd.inspection.device_step import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.loop import Update, run_loop
from edgerd.inspection.summary import Ended, RunSummary
from edgerd.sinks.jsonl import JsonlSink


@click.command()
@click.option(
    "--camera", "uri", metavar="URI", required=True, help="0, /dev/video0, csi://0, rtsp://..., a video, a folder, ..."
)
@click.option("--bundle", "path", type=click.Path(path_type=Path), help="The newest bundle in this folder by default.")
@runtime_option
@precision_option
@threads_option
@device_options
@click.option("--keep-warm/--no-keep-warm", default=True, help="While no frames come, keep the GPU's clocks up.")
@click.option("--threshold", type=float, help="Use this threshold instead of the engine's own.")
@click.option("--frames", type=click.Choice(["newest", "every"]), help="newest for live cameras, every for files.")
@click.option("--policy", type=click.Choice(["part", "stream"]), help="part for files, stream for live cameras.")
@click.option("--events", type=click.Path(), metavar="FILE.jsonl", help="Append alerts here; - for stdout.")
@click.option("--verdicts", type=click.Path(), metavar="FILE.jsonl", help="Append a line per frame here; - for stdout.")
@click.option("--max-frames", type=click.IntRange(1), help="End after this many frames.")
@json_option
@click.option("--show", is_flag=True, help="Show the frames with the heatmap in a window; q ends the run.")
@click.option(
    "--save-video",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the frames with the heatmap to a video (.mp4, .avi).",
)
@click.option("--check", is_flag=True, help="Check the bundle and the camera on one frame, then end.")
@click.option("--profile", is_flag=True, help="Measure the engine separately.")
def run(
    uri: str,
    path: Path | None,
    runtime: str | None,
    precision: str | None,
    threads: int,
    device: DeviceOptions,
    keep_warm: bool,
    threshold: float | None,
    frames: Literal["newest", "every"] | None,
    policy: str | None,
    events: str | None,
    verdicts: str | None,
    max_frames: int | None,
    json_file: Path | None,
    show: bool,
    save_video: Path | None,
    check: bool,
    profile: bool,
) -> None:
    """Inspect the frames of a camera and raise an alert for each defect.

    Ctrl-C ends the run with a summary. The exit code is then 0 for a live camera, which never ends by itself, and 130
    for files that were not finished. If one of the files is "-", the lines for people go to stderr.
    """
    say = speaker(events, verdicts, json_file)
    if path is None:
        path = find_bundle()
        say(f"Bundle: {path}, the newest here.")
    bundle = Bundle.open(path)
    if check:
        say(f"All {bundle.verify()} files of {path} are as they were written.")
    make_room_for(events, verdicts, json_file, save_video)
    stop = threading.Event()
    with ExitStack() as stack:
        views = _views(stack, stop, show, save_video)
        device = replace(device, keep_warm=keep_warm, profile=profile)
        inspector = stack.enter_context(
            Inspector.open(
                bundle, runtime=runtime, precision=precision, threshold=threshold, threads=threads, device=device
            )
        )
        say(inspector.why)
        say(f"NG is a score above {inspector.threshold:.4f}.")
        if threshold is None:
            warn_of_doubts(bundle, inspector.engine.key)
        inspector.warm_up()
        camera = open_camera(uri)
        stack.callback(camera.close)
        stack.enter_context(stop_on_interrupt(stop))
        status = stack.enter_context(StatusLine())

        def on_update(update: Update) -> None:
            status.update(update)
            for view in views:
                view.update(update, inspector)

        summary = run_loop(
            inspector,
            camera,
            _policy(policy),
            event_sinks=[] if check else _sinks(stack, events),  # a check raises no alert
            verdict_sinks=_sinks(stack, verdicts),
            frames=frames,
            max_frames=1 if check else max_frames,
            on_update=on_update,
            stop=stop,
            profile=profile,
        )
    _report(summary, say)
    try:
        if json_file:
            write_json(json_file, summary.to_json())
    finally:  # a lost camera is what matters, even if the file cannot be written
        summary.raise_for_error()
    if summary.ended is Ended.INTERRUPTED or (summary.ended is Ended.STOPPED and not camera.live):
        raise click.exceptions.Exit(INTERRUPTED)
    if check:
        _check_judged(summary)
        say("The check passed: bundle, engine and camera work.")


def _check_judged(summary: RunSummary) -> None:
    if summary.no_decision == summary.frames:
        raise CameraError(
            f"{summary.camera} gave no frame that can be judged.",
            expected="a frame with about the light and contrast of the good pictures",
            hint="Check the light, the lens and the frame size; --verdicts - prints the reason.",
        )


def _views(stack: ExitStack, stop: threading.Event, show: bool, save_video: Path | None) -> list[Window | Recorder]:
    views: list[Window | Recorder] = [Window(stop)] if show else []
    return [*views, stack.enter_context(Recorder(save_video))] if save_video else views


def _policy(name: str | None) -> Policy | None:
    return {"part": PartPolicy, "stream": StreamPolicy}[name]() if name else None


def _sinks(stack: ExitStack, target: str | None) -> list[JsonlSink]:
    if target is None:
        return []
    sink = JsonlSink(target)
    stack.callback(sink.close)
    return [sink]


def _report(summary: RunSummary, say: Callable[[str], None]) -> None:
    for line in summary.warnings:
        warn(line)
    say(
        f"{counted(summary.frames, 'frame')} in {summary.elapsed_s:.1f} s: {summary.ok} OK, {summary.ng} NG, "
        f"{summary.no_decision} without a decision; {counted(summary.alerts, 'alert')}, {summary.dropped} dropped"
    )
    print_latencies(say, summary, with_capture=True)
