"""`edgerd run --recipe`: a whole line, as `edgerd.toml` describes it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from edgerd.cli.console import stop_on_interrupt, warn
from edgerd.cli.run_cameras import RunOutcome
from edgerd.cli.status import StatusLine
from edgerd.errors import EdgerdError, MissingDependencyError
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.monitor import open_monitor
from edgerd.monitor.watch import ServiceWatch
from edgerd.recipe import LoadedRecipe, load_recipe
from edgerd.recipe.records import host_and_port
from edgerd.recipe.watch import RecipeWatcher, WatchingThread
from edgerd.service import ServiceManager
from edgerd.sinks.protocol import Sink
from edgerd.station.check import check
from edgerd.station.station import Station


def run_recipe(
    file: Path,
    *,
    device: DeviceOptions,
    event_sinks: tuple[Sink, ...],
    verdict_sinks: tuple[Sink, ...],
    max_frames: int | None,
    say: Callable[[str], None],
) -> RunOutcome:
    """Run a line until it is stopped, or all its cameras have ended.

    Args:
        file: The recipe; it is watched, and changes are taken over while the line runs.
        device: How to use a GPU.
        event_sinks: Get the events as well as the recipe's sinks do.
        verdict_sinks: Get a line per frame.
        max_frames: End after so many frames of each camera; None for no limit.
        say: Takes a line for people.

    Raises:
        EdgerdError: The recipe has errors, or something that it names cannot be opened.
    """
    loaded = load_recipe(file)
    stop = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(stop_on_interrupt(stop))
        station = stack.enter_context(Station(loaded, say=say, warn=warn))
        status = stack.enter_context(StatusLine(name_cameras=len(loaded.recipe.cameras) > 1))
        station.open(
            device=device,
            event_sinks=event_sinks,
            verdict_sinks=verdict_sinks,
            on_update=status.update,
            stop=stop,
            max_frames=max_frames,
            profile=device.profile,
        )
        if not loaded.recipe.sinks and not event_sinks:
            warn(f"{file} has no [[sink]]: alerts are shown here, and nobody else is told.")
        _watch_from_outside(station, stack, say)
        watching = WatchingThread(RecipeWatcher(loaded), _taking_over(station, status), _say_that_it_is_not_taken_over)
        stack.callback(watching.close)
        summaries = station.run()
        return RunOutcome(summaries, [feed.live for feed in station.feeds], [None] * len(summaries))


def check_recipe(file: Path, device: DeviceOptions, say: Callable[[str], None]) -> None:
    """Try a recipe out on a frame of each camera, sending nothing.

    Raises:
        EdgerdError: The recipe has errors, or something that it names does not work.
    """
    loaded = load_recipe(file)
    summaries = check(loaded.recipe, device, say=say, warn=warn)
    for summary in summaries:
        say(f"{summary.camera}: a frame was judged.")
    say("The check passed: recipe, bundles, engines, sinks and cameras work.")


def _watch_from_outside(station: Station, stack: ExitStack, say: Callable[[str], None]) -> None:
    """Serve metrics and health where the recipe asks for it, and tell the service manager how the line does."""
    monitor = station.recipe.monitor
    if monitor is not None:
        host, port = host_and_port(monitor.bind)
        try:
            served = open_monitor(station.snapshot, host=host, port=port, host_names=monitor.host_names)
        except MissingDependencyError as error:
            warn(f"{error.what} The line runs without it.")
        else:
            stack.callback(served.close)
            if served.loss:
                warn(served.loss)
            else:
                say(f"Metrics and health: {served.url}")
    stack.enter_context(ServiceWatch(ServiceManager.from_environment(), station.snapshot))


def _taking_over(station: Station, status: StatusLine) -> Callable[[LoadedRecipe], None]:
    """A function that has the station take a changed recipe over, and says what changes."""

    def take_over(loaded: LoadedRecipe) -> None:
        try:
            changes = station.take_over(loaded)
        except EdgerdError as error:
            _say_that_it_is_not_taken_over(error)
            return
        for change in changes:
            status.say(f"recipe: {change.key} changes {change.takes_effect}")
        if not changes:  # somebody who has just mended the file wants to know that it is right now
            status.say("recipe: it is valid, and nothing changes")

    return take_over


def _say_that_it_is_not_taken_over(error: EdgerdError) -> None:
    warn(f"The changed recipe is not taken over: {error.what}")
