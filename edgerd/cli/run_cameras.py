"""`edgerd run --camera`: cameras with one bundle, described by options."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgerd.bundle.bundle import Bundle, find_bundle
from edgerd.bundle.manifest import ThresholdRecord
from edgerd.cameras import Camera, comes_back, open_camera
from edgerd.cli.console import stop_on_interrupt
from edgerd.cli.doubts import false_alarms_text, threshold_record, warn_of_doubts
from edgerd.cli.status import StatusLine
from edgerd.errors import (
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
from edgerd.line.archive import Archive
from edgerd.line.decision import PartPolicy, Policy, StreamPolicy
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.record import Outlets
from edgerd.line.statistics import RECENT_FRAMES
from edgerd.line.summary import RunSummary
from edgerd.line.supervised import SupervisedCamera
from edgerd.line.update import Update
from edgerd.redaction import without_secrets
from edgerd.sinks.protocol import Sink

if TYPE_CHECKING:
    from edgerd.cli.view import View


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        summaries: A summary per camera.
        live: Per camera, whether it is a live one.
        records: Per camera, how its threshold was found, from which follows how many false alarms come in a minute;
            None where that cannot be said.
    """

    summaries: list[RunSummary]
    live: list[bool]
    records: list[ThresholdRecord | None]


@dataclass(frozen=True)
class CameraOptions:
    """What the user asked for on the command line; each attribute has the name of its option.

    Attributes:
        uris: The values of `--camera`.
        bundle: None for the newest one here.
        confirm: K and N.
    """

    uris: tuple[str, ...]
    bundle: Path | None
    runtime: str | None
    precision: str | None
    threads: int
    device: DeviceOptions
    threshold: float | None
    frames: Literal["newest", "every"] | None
    policy: Literal["part", "stream"] | None
    confirm: tuple[int, int] | None
    max_frames: int | None
    show: bool
    save_video: Path | None
    save_ng: Path | None


def run_cameras(
    options: CameraOptions,
    *,
    event_sinks: tuple[Sink, ...],
    verdict_sinks: tuple[Sink, ...],
    verify: bool,
    say: Callable[[str], None],
) -> RunOutcome:
    """Inspect the frames of cameras until they end, are stopped, or cannot be judged any more.

    Args:
        options: What the user asked for.
        event_sinks: Get the alerts, and what happened to cameras and device. They are open already, because a camera or
            a device that cannot be opened is an event too.
        verdict_sinks: Get a line per frame.
        verify: Check every file of the bundle first.
        say: Takes a line for people.

    Raises:
        EdgerdError: Bundle, engine or a camera cannot be opened.
    """
    _check_views(options)
    path = options.bundle
    if path is None:
        path = find_bundle()
        say(f"Bundle: {path}, the newest here.")
    bundle = Bundle.open(path)
    if verify:
        say(f"All {bundle.verify()} files of {path} are as they were written.")
    stop = threading.Event()
    with ExitStack() as stack:
        views = _views(stack, stop, options)
        inspector = _opened_inspector(stack, bundle, options, event_sinks, say)
        cameras = [_opened_camera(stack, uri, event_sinks, bundle) for uri in options.uris]
        feeds = _feeds(stack, inspector, cameras, options)
        record = threshold_record(bundle, inspector.engine.key) if options.threshold is None else None
        stack.enter_context(stop_on_interrupt(stop))
        status = stack.enter_context(StatusLine(name_cameras=len(feeds) > 1))

        def on_update(update: Update) -> None:
            status.update(update)
            if record and update.live and update.statistics.frames == RECENT_FRAMES:  # now the frame rate is known
                status.say(false_alarms_text(record, update.statistics.frames_per_s))
            for view in views:
                view.update(update, inspector)

        archive = None if options.save_ng is None else Archive(options.save_ng, math.inf)
        outlets = Outlets(event_sinks, verdict_sinks, archive=archive)
        summaries = Line(feeds, outlets, on_update=on_update, stop=stop, profile=options.device.profile).run()
    losses = tuple(view.loss for view in views if view.loss)
    summaries[0] = replace(summaries[0], warnings=(*summaries[0].warnings, *losses))
    live = [camera.live for camera in cameras]
    return RunOutcome(summaries, live, [record if is_live else None for is_live in live])


def _feeds(stack: ExitStack, inspector: Inspector, cameras: Sequence[Camera], options: CameraOptions) -> list[Feed]:
    """The cameras as feeds of a line; all share the inspector's engine."""
    inspectors = [inspector, *(stack.enter_context(inspector.beside()) for _ in cameras[1:])]
    return [
        Feed(
            judge,
            camera,
            _policy(options.policy, options.confirm, camera),
            frames=options.frames,
            max_frames=options.max_frames,
        )
        for judge, camera in zip(inspectors, cameras, strict=True)
    ]


def _opened_inspector(
    stack: ExitStack, bundle: Bundle, options: CameraOptions, sinks: tuple[Sink, ...], say: Callable[[str], None]
) -> Inspector:
    """Open the engine and make it ready; it is closed with the stack."""
    with _device_failures_told(sinks, options.uris, bundle):
        inspector = stack.enter_context(
            Inspector.open(
                bundle,
                runtime=options.runtime,
                precision=options.precision,
                threshold=options.threshold,
                threads=options.threads,
                device=options.device,
            )
        )
        say(inspector.why)
        say(f"NG is a score above {inspector.threshold:.4f}.")
        if options.threshold is None:
            warn_of_doubts(bundle, inspector.engine.key)
        inspector.warm_up()
    return inspector


def _opened_camera(stack: ExitStack, uri: str, sinks: tuple[Sink, ...], bundle: Bundle) -> Camera:
    """Open a camera; it is closed with the stack. Where it cannot be opened now, an event says so.

    A live one that is lost later is opened again, for ever.
    """
    try:
        camera = open_camera(uri)
    except EdgerdError as error:
        _tell(sinks, CameraEvent(uuid7(), "error", without_secrets(uri), error.what, time.time(), bundle.manifest.id))
        raise
    stack.callback(camera.close)
    if not comes_back(uri):
        return camera
    first = [camera]
    supervised = SupervisedCamera(lambda: first.pop() if first else open_camera(uri), uri)
    stack.callback(supervised.close)
    return supervised


@contextmanager
def _device_failures_told(sinks: tuple[Sink, ...], uris: tuple[str, ...], bundle: Bundle) -> Iterator[None]:
    """Send an event about each camera where the device cannot be used, and let the error through."""
    try:
        yield
    except (DeviceError, MissingDependencyError) as error:
        state: SourceState = "lost" if isinstance(error, DeviceLostError) else "error"
        for camera in map(without_secrets, uris):
            _tell(sinks, DeviceEvent(uuid7(), state, camera, "", error.what, time.time(), bundle.manifest.id))
        raise


def _tell(sinks: tuple[Sink, ...], event: Event) -> None:
    """Send an event about an error that ends the run; a full disk must not take the error's place."""
    with suppress(StorageError):
        for sink in sinks:
            sink.send(event)


def _check_views(options: CameraOptions) -> None:
    """Refuse to show several cameras in one window or video.

    Raises:
        InputError: There is more than one camera, and one of them would be shown.
    """
    if len(options.uris) > 1 and (options.show or options.save_video):
        raise InputError(
            f"{'--show' if options.show else '--save-video'} shows one camera, and there are {len(options.uris)}.",
            expected="one --camera with it",
            hint="Leave it out, or run that camera alone.",
        )


def _views(stack: ExitStack, stop: threading.Event, options: CameraOptions) -> list[View]:
    if not (options.show or options.save_video):
        return []
    from edgerd.cli.view import Recorder, Window  # imports FFmpeg: a line that shows nothing starts sooner without it

    views: list[View] = [Window(stop)] if options.show else []
    return [*views, stack.enter_context(Recorder(options.save_video))] if options.save_video else views


def _policy(name: Literal["part", "stream"] | None, confirm: tuple[int, int] | None, camera: Camera) -> Policy:
    """The policy that was asked for; where none was, the usual one for such a camera.

    Raises:
        InputError: `--confirm` does not go with a policy for parts, each of which is seen once.
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
