"""`edgerd run`: watch a camera and raise defect alerts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from edgerd.bundle.bundle import Bundle, find_bundle
from edgerd.bundle.manifest import ThresholdRecord
from edgerd.cameras import Camera, open_camera
from edgerd.cli.console import (
    counted,
    make_room_for,
    print_latencies,
    speaker,
    stop_on_interrupt,
    warn,
    write_json,
)
from edgerd.cli.doubts import false_alarms_text, threshold_record, warn_of_doubts
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import device_options, json_option, precision_option, runtime_option, threads_option
from edgerd.cli.status import StatusLine
from edgerd.cli.view import Recorder, View, Window
from edgerd.errors import (
    CameraError,
    DeviceError,
    DeviceLostError,
    EdgerdError,
    InputError,
    MissingDependencyError,
    StorageError,
)
from edgerd.events import CameraEvent, DeviceEvent, Event, SourceState, uuid7
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import PartPolicy, Policy, StreamPolicy
from edgerd.line.loop import Update, run_loop
from edgerd.line.statistics import RECENT_FRAMES
from edgerd.line.summary import Ended, RunSummary
from edgerd.redaction import without_secrets
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
    policy: Literal["part", "stream"] | None,
    confirm: tuple[int, int] | None,
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

    Ctrl-C ends the run with a summary; so do SIGTERM and SIGHUP. The exit code is then 0 for a live camera, which never
    ends by itself, and 130 for files that were not finished. If one of the files is "-", the lines for people go to
    stderr. Only events that cannot be written end a run; what else fails beside it (--verdicts, --save-video, --show)
    is left out, counted and named at the end.
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
        # before camera and device, whose failures are events
        event_sinks = [] if check else _sinks(stack, events)  # a check raises no alert
        verdict_sinks = _sinks(stack, verdicts)
        views = _views(stack, stop, show, save_video)
        device = replace(device, keep_warm=keep_warm, profile=profile)
        with _device_failures_told(event_sinks, uri, bundle):
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
        with _camera_failures_told(event_sinks, uri, bundle):
            camera = open_camera(uri)
        stack.callback(camera.close)
        alert_policy = _policy(policy, confirm, camera)
        record = threshold_record(bundle, inspector.engine.key) if threshold is None and camera.live else None
        stack.enter_context(stop_on_interrupt(stop))
        status = stack.enter_context(StatusLine())

        def on_update(update: Update) -> None:
            status.update(update)
            if record and update.statistics.frames == RECENT_FRAMES:  # from here on the frame rate is known
                status.say(false_alarms_text(record, update.statistics.frames_per_s))
            for view in views:
                view.update(update, inspector)

        summary = run_loop(
            inspector,
            camera,
            alert_policy,
            event_sinks=event_sinks,
            verdict_sinks=verdict_sinks,
            frames=frames,
            max_frames=1 if check else max_frames,
            on_update=on_update,
            stop=stop,
            profile=profile,
        )
    summary = replace(summary, warnings=(*summary.warnings, *(view.loss for view in views if view.loss)))
    _report(summary, say, record)
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


@contextmanager
def _device_failures_told(sinks: list[JsonlSink], uri: str, bundle: Bundle) -> Iterator[None]:
    """Leave an event where the device cannot be used; the error goes on its way."""
    try:
        yield
    except (DeviceError, MissingDependencyError) as error:
        state: SourceState = "lost" if isinstance(error, DeviceLostError) else "error"
        camera, now = without_secrets(uri), time.time()
        _tell(sinks, DeviceEvent(uuid7(), state, camera, "", error.what, now, bundle.manifest.id))
        raise


@contextmanager
def _camera_failures_told(sinks: list[JsonlSink], uri: str, bundle: Bundle) -> Iterator[None]:
    """Leave an event where the camera cannot be opened; the error goes on its way."""
    try:
        yield
    except EdgerdError as error:
        _tell(sinks, CameraEvent(uuid7(), "error", without_secrets(uri), error.what, time.time(), bundle.manifest.id))
        raise


def _tell(sinks: list[JsonlSink], event: Event) -> None:
    """Send an event about an error that ends the run; a full disk must not take the error's place."""
    with suppress(StorageError):
        for sink in sinks:
            sink.send(event)


def _views(stack: ExitStack, stop: threading.Event, show: bool, save_video: Path | None) -> list[View]:
    views: list[View] = [Window(stop)] if show else []
    return [*views, stack.enter_context(Recorder(save_video))] if save_video else views


def _confirmation(text: str | None) -> tuple[int, int] | None:
    """K and N of "K/N"."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    k, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= k <= n:
        raise click.BadParameter(f"{text!r} is not K/N with 1 <= K <= N, such as 2/3.", param_hint="--confirm")
    return k, n


def _policy(name: Literal["part", "stream"] | None, confirm: tuple[int, int] | None, camera: Camera) -> Policy:
    """The policy that was asked for, else the one for such a camera.

    Raises:
        InputError: `--confirm` for parts, which are seen once.
    """
    name = name or ("stream" if camera.live else "part")
    if name == "stream":
        return StreamPolicy(*confirm) if confirm else StreamPolicy()
    if confirm:
        raise InputError(
            f"--confirm does not go with the alert policy part: each frame of {camera.uri} is a part of its own.",
            expected="frames that show the same place again and again",
            hint="Leave --confirm out, or add --policy stream.",
        )
    return PartPolicy()


def _sinks(stack: ExitStack, target: str | None) -> list[JsonlSink]:
    if target is None:
        return []
    sink = JsonlSink(target)
    stack.callback(sink.close)
    return [sink]


def _report(summary: RunSummary, say: Callable[[str], None], record: ThresholdRecord | None) -> None:
    """The lines at the end.

    Args:
        summary: Of the run.
        say: Takes the lines.
        record: How the threshold was found, where a camera is live and its false alarms come by the minute.
    """
    for line in summary.warnings:
        warn(line)
    held_back = f" ({summary.held_back} NG held back by --confirm)" if summary.held_back else ""
    say(
        f"{counted(summary.frames, 'frame')} in {summary.elapsed_s:.1f} s: {summary.ok} OK, {summary.ng} NG, "
        f"{summary.no_decision} without a decision; {counted(summary.alerts, 'alert')}{held_back}, "
        f"{summary.dropped} dropped"
    )
    if record and summary.frames and summary.elapsed_s:
        say(false_alarms_text(record, summary.frames / summary.elapsed_s))
    print_latencies(say, summary, with_capture=True)
