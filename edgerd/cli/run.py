"""`edgerd run`: watch a camera and raise defect alerts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from edgerd.bundle.bundle import Bundle, find_bundle
from edgerd.cameras import Camera, open_camera
from edgerd.cli.console import (
    make_room_for,
    speaker,
    stop_on_interrupt,
    write_json,
)
from edgerd.cli.doubts import false_alarms_text, threshold_record, warn_of_doubts
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import device_options, json_option, precision_option, runtime_option, threads_option
from edgerd.cli.run_report import report, summaries_json
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
from edgerd.line.feed import Feed, Update
from edgerd.line.line import Line
from edgerd.line.record import Outlets
from edgerd.line.statistics import RECENT_FRAMES
from edgerd.line.summary import Ended, RunSummary
from edgerd.redaction import without_secrets
from edgerd.sinks.jsonl import JsonlSink


@click.command()
@click.option(
    "--camera",
    "uris",
    metavar="URI",
    required=True,
    multiple=True,
    help="0, /dev/video0, csi://0, rtsp://..., a video, a folder, ...; once for each camera of the line.",
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
@click.option("--check", is_flag=True, help="Check the bundle and each camera on one frame, then end.")
@click.option("--profile", is_flag=True, help="Measure the engine separately.")
def run(
    uris: tuple[str, ...],
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
    """Inspect the frames of a camera, or of several, and raise an alert for each defect.

    Ctrl-C ends the run with a summary; so do SIGTERM and SIGHUP. The exit code is then 0 for a live camera, which never
    ends by itself, and 130 for files that were not finished. If one of the files is "-", the lines for people go to
    stderr. Only events that cannot be written end a run; what else fails beside it (--verdicts, --save-video, --show)
    is left out, counted and named at the end.
    """
    say = speaker(events, verdicts, json_file)
    _check_views(uris, show, save_video)
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
        with _device_failures_told(event_sinks, uris, bundle):
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
        cameras = [_opened(stack, uri, event_sinks, bundle) for uri in uris]
        inspectors = [inspector, *(stack.enter_context(inspector.beside()) for _ in cameras[1:])]
        policies = [_policy(policy, confirm, camera) for camera in cameras]
        n = 1 if check else max_frames
        feeds = [
            Feed(*judged_by, frames=frames, max_frames=n)
            for judged_by in zip(inspectors, cameras, policies, strict=True)
        ]
        record = threshold_record(bundle, inspector.engine.key) if threshold is None else None
        stack.enter_context(stop_on_interrupt(stop))
        status = stack.enter_context(StatusLine(name_cameras=len(feeds) > 1))

        def on_update(update: Update) -> None:
            status.update(update)
            if record and update.live and update.statistics.frames == RECENT_FRAMES:  # now the frame rate is known
                status.say(false_alarms_text(record, update.statistics.frames_per_s))
            for view in views:
                view.update(update, inspector)

        outlets = Outlets(event_sinks, verdict_sinks)
        summaries = Line(feeds, outlets, on_update=on_update, stop=stop, profile=profile).run()
    losses = tuple(view.loss for view in views if view.loss)
    summaries[0] = replace(summaries[0], warnings=(*summaries[0].warnings, *losses))
    records = [record if camera.live else None for camera in cameras]
    report(summaries, say, records)
    _write(json_file, summaries)
    if any(_is_unfinished(summary, camera) for summary, camera in zip(summaries, cameras, strict=True)):
        raise click.exceptions.Exit(INTERRUPTED)
    if check:
        _check_judged(summaries)
        say("The check passed: bundle, engine and camera work.")


def _write(json_file: Path | None, summaries: list[RunSummary]) -> None:
    """Write the figures, then raise what broke a camera's run off: that matters, even if they cannot be written."""
    try:
        if json_file:
            write_json(json_file, summaries_json(summaries))
    finally:
        for summary in summaries:
            summary.raise_for_error()


def _is_unfinished(summary: RunSummary, camera: Camera) -> bool:
    """Whether there would have been more to inspect: a live camera that was told to stop has done its work."""
    return summary.ended is Ended.INTERRUPTED or (summary.ended is Ended.STOPPED and not camera.live)


def _check_judged(summaries: list[RunSummary]) -> None:
    for summary in summaries:
        if summary.no_decision == summary.frames:
            raise CameraError(
                f"{summary.camera} gave no frame that can be judged.",
                expected="a frame with about the light and contrast of the good pictures",
                hint="Check the light, the lens and the frame size; --verdicts - prints the reason.",
            )


def _check_views(uris: tuple[str, ...], show: bool, save_video: Path | None) -> None:
    if len(uris) > 1 and (show or save_video):
        raise InputError(
            f"{'--show' if show else '--save-video'} shows one camera, and there are {len(uris)}.",
            expected="one --camera with it",
            hint="Leave it out, or run that camera alone.",
        )


def _opened(stack: ExitStack, uri: str, sinks: list[JsonlSink], bundle: Bundle) -> Camera:
    """Open a camera; it is closed with the stack. Where it cannot be opened an event says so."""
    try:
        camera = open_camera(uri)
    except EdgerdError as error:
        _tell(sinks, CameraEvent(uuid7(), "error", without_secrets(uri), error.what, time.time(), bundle.manifest.id))
        raise
    stack.callback(camera.close)
    return camera


@contextmanager
def _device_failures_told(sinks: list[JsonlSink], uris: tuple[str, ...], bundle: Bundle) -> Iterator[None]:
    """Leave an event for each camera where the device cannot be used; the error goes on its way."""
    try:
        yield
    except (DeviceError, MissingDependencyError) as error:
        state: SourceState = "lost" if isinstance(error, DeviceLostError) else "error"
        for camera in map(without_secrets, uris):
            _tell(sinks, DeviceEvent(uuid7(), state, camera, "", error.what, time.time(), bundle.manifest.id))
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
