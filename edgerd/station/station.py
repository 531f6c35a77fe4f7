"""All that a recipe names, opened and running together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from edgerd import __version__
from edgerd.audit import AuditTrail
from edgerd.cameras.protocol import Camera
from edgerd.errors import InputError
from edgerd.events import Alert
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.line.archive import Archive
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.record import Outlets
from edgerd.line.summary import RunSummary
from edgerd.line.supervised import open_supervised
from edgerd.line.update import Update
from edgerd.monitor.snapshot import LineSnapshot
from edgerd.recipe import LoadedRecipe
from edgerd.recipe.camera import Camera as CameraRecord
from edgerd.recipe.difference import Change, difference
from edgerd.recipe.recipe import Archive as ArchiveRecord
from edgerd.recipe.recipe import Recipe
from edgerd.sinks.plc import PlcLink
from edgerd.sinks.protocol import Sink
from edgerd.station.audited import CameraAudit
from edgerd.station.changes import camera_errands
from edgerd.station.commanded import CommandedLine, open_commands
from edgerd.station.engines import Engines
from edgerd.station.feeds import feed_of
from edgerd.station.links import Pulse, announce, open_links
from edgerd.station.outgoing import Outgoing, is_delivered_to
from edgerd.station.snapshots import camera_snapshot, engine_text, free_bytes
from edgerd.triggers import Trigger

_GB = 1e9


class Station:
    """A line with its cameras, engines, sinks, links and audit trail: a context manager that closes all of it.

    Attributes:
        loaded: The recipe that runs; `take_over` replaces it.
        line: Judges the frames.
        feeds: The cameras, in the recipe's order.
    """

    def __init__(self, loaded: LoadedRecipe, *, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Note what is to be opened; `open` does it.

        Args:
            loaded: The recipe that the line is to run.
            say: Takes a line for people.
            warn: Takes a sentence about what is not as it should be; from any thread.
        """
        self.loaded = loaded
        self.line: Line
        self.feeds: tuple[Feed, ...] = ()
        self._say = say
        self._warn = warn
        self._stack = ExitStack()
        self._started_at = time.time()
        self._engines: Engines
        self._archive: Archive | None = None
        self._outgoing: Outgoing
        self._outlets: Outlets
        self._links: list[PlcLink] = []
        self._trail: AuditTrail
        self._is_warm = False

    @property
    def recipe(self) -> Recipe:
        """The recipe that runs."""
        return self.loaded.recipe

    def open(
        self,
        *,
        device: DeviceOptions | None = None,
        event_sinks: tuple[Sink, ...] = (),
        verdict_sinks: tuple[Sink, ...] = (),
        on_update: Callable[[Update], None] | None = None,
        stop: threading.Event | None = None,
        max_frames: int | None = None,
        profile: bool = False,
    ) -> Station:
        """Open everything that the recipe names. Where something cannot be opened, what was open by then is closed.

        Args:
            device: How to use a GPU; None for the defaults.
            event_sinks: Get the events as well as the recipe's sinks do; stay open.
            verdict_sinks: Get a line per frame; stay open.
            on_update: Called after every frame, in the thread that calls `run`.
            stop: Ends the run when it is set, from any thread; None where nobody will.
            max_frames: End after so many frames of each camera; None for no limit.
            profile: Measure the engine apart, for `engine_ms` in the summary.

        Raises:
            EdgerdError: Something that the recipe names cannot be opened; the message says what.
        """
        self.recipe.check_secrets()  # all that are missing are named at once, before engines are loaded
        try:
            self._trail = self._stack.enter_context(AuditTrail(self.recipe.audit.path, self.loaded.sha256))
            # Before the engines, which take long to load: a PLC learns meanwhile that the line is starting.
            self._links = open_links(self.recipe, self.trigger, self._stack)
            self._engines = Engines(self._stack, device or DeviceOptions(), self._say, self._warn)
            cameras = [self._camera(record) for record in self.recipe.cameras]
            self.feeds = tuple(
                feed_of(record, camera, self._engines, max_frames)
                for record, camera in zip(self.recipe.cameras, cameras, strict=True)
            )
            self._is_warm = True
            commands = open_commands(CommandedLine(self.recipe, self.feeds, self._trail), self.recipe, self._stack)
            self._links += [] if commands is None else [commands]
            self._archive = _opened_archive(self.recipe.archive)
            self._outgoing = self._open_outgoing()
            self._outlets = Outlets(
                (*event_sinks, CameraAudit(self._trail)),
                verdict_sinks,
                self._outgoing,
                self._links,
                self._archive,
                self.loaded.sha256,
            )
            self.line = Line(self.feeds, self._outlets, on_update=on_update, stop=stop, profile=profile)
            self._resume_alerts()
            self._stack.enter_context(Pulse(self.line, self.feeds, self._links))
        except BaseException:
            self._stack.close()
            raise
        return self

    def run(self) -> list[RunSummary]:
        """Inspect until all cameras have ended or the run is stopped, as `Line.run` does.

        Returns:
            A summary per camera, in the recipe's order.
        """
        self._trail.record("start", "The line was started.", cameras=[feed.name for feed in self.feeds])
        try:
            return self.line.run()
        finally:
            self._trail.record(
                "stop", "The line has ended.", ended={feed.name: feed.outcome.value for feed in self.feeds}
            )

    def trigger(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before a camera now; from any thread, returns at once.

        Each trigger that is taken gets one verdict; whoever sends one that is refused is told by the error.

        Raises:
            InputError: The line has no such camera, or its frames are not judged on triggers that come as messages.
            CameraError: The camera takes no triggers any more, because it has ended.
        """
        feed = next((feed for feed in self.feeds if feed.name == trigger.camera), None)
        if feed is None:
            raise InputError(
                f"Camera {trigger.camera} takes no trigger: it is not open.",
                expected=f"one of {', '.join(feed.name for feed in self.feeds) or 'the cameras, once they are open'}",
            )
        if feed.takes_triggers:
            announce(trigger, self._links)
        feed.fire(trigger)

    def change_product(self, camera: str, product: str, who: str) -> None:
        """Have a camera inspect another product from now on; from any thread, returns at once.

        Args:
            camera: Name of the camera.
            product: Name of the product.
            who: Who asks for it, for the audit trail.

        Raises:
            InputError: The camera has no such product.
            KeyError: There is no such camera.
        """
        feed = {feed.name: feed for feed in self.feeds}[camera]
        feed.products.change_to(product)
        self._trail.record("manual", f"Camera {camera} inspects {product}.", who=who, camera=camera, product=product)

    def take_over(self, loaded: LoadedRecipe) -> tuple[Change, ...]:
        """Go on with a changed recipe as far as that is possible without a restart; not from the thread that judges.

        Thresholds, masks and alert policies hold for the frames that are submitted from then on; no frame is lost.

        Args:
            loaded: The new recipe.

        Returns:
            What changed; each change says whether it takes effect at once or after a restart.

        Raises:
            EdgerdError: A new sink or threshold cannot be used; nothing was changed then.
        """
        changed = difference(self.recipe, loaded.recipe)
        new = changed.taken_over
        errands = [
            errand
            for feed, before, after in zip(self.feeds, self.recipe.cameras, new.cameras, strict=True)
            for errand in camera_errands(feed, before, after, self._engines)
        ]
        if (new.sinks, new.outbox) != (self.recipe.sinks, self.recipe.outbox):
            self._outgoing.change_to(new.outbox, [sink for sink in new.sinks if is_delivered_to(sink)])
        if self._archive and new.archive:
            self._archive.quota_bytes = new.archive.quota_gb * _GB
            self._archive.ok_share = new.archive.ok_share

        def name_the_recipe() -> None:
            self._outlets.recipe = loaded.sha256

        for errand in (*errands, name_the_recipe):
            self.line.post(errand)
        for change in changed.changes:
            self._trail.record("change", f"{change.key} changes {change.takes_effect}.", **change.to_json())
        self._trail.recipe_sha256 = loaded.sha256
        self.loaded = LoadedRecipe(new, loaded.sha256, loaded.file)
        return changed.changes

    def snapshot(self) -> LineSnapshot:
        """How the line does at this moment; for any thread."""
        opened = self._engines.opened if self._is_warm else ()
        return LineSnapshot(
            cameras=tuple(camera_snapshot(feed) for feed in self.feeds),
            sinks=self._outgoing.snapshot(),
            version=__version__,
            started_at=self._started_at,
            last_turn_monotonic_s=self.line.turned_s,
            is_warm=self._is_warm,
            bundles=tuple(dict.fromkeys(each.bundle.manifest.id for each in opened)),
            engines=tuple(engine_text(each.engine.key) for each in opened),
            disk_free_bytes=free_bytes(self.recipe.outbox.path),
            reasons=tuple(filter(None, (self._outgoing.ill, self._trail.failure))),
        )

    def close(self) -> None:
        """Close everything, after some seconds at most in which events are still delivered; safe to call twice."""
        self._stack.close()

    def __enter__(self) -> Station:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _camera(self, record: CameraRecord) -> Camera:
        camera = open_supervised(record.address())
        self._stack.callback(camera.close)
        return camera

    def _open_outgoing(self) -> Outgoing:
        # The outbox is opened even where the recipe has no sink: one may be added while the line runs, and the next
        # process has to know which alerts are open at the end of this one.
        sinks = [sink for sink in self.recipe.sinks if is_delivered_to(sink)]
        names = [camera.name for camera in self.recipe.cameras]
        outgoing = Outgoing(self.recipe.outbox, sinks, names, on_warning=self._warn, make_room=self._make_room)
        self._stack.callback(outgoing.close)
        return outgoing

    def _make_room(self) -> bool:
        """Free space on the outbox's disk: the oldest pictures of good parts go first."""
        return self._archive is not None and self._archive.make_room(self.recipe.outbox.path)

    def _resume_alerts(self) -> None:
        """Go on with the alerts that were open when the process before this one ended; close those of other cameras."""
        feeds = {feed.name: feed for feed in self.feeds}
        for camera, state in self._outgoing.open_alerts.items():
            alert = Alert.from_json(state)
            if camera in feeds and feeds[camera].can_resume:
                feeds[camera].resume(alert)
            else:
                closed = alert.closed("the camera is no longer watched as it was")
                self._outgoing.append([closed], {camera: None})


def _opened_archive(record: ArchiveRecord | None) -> Archive | None:
    return None if record is None else Archive(record.folder, record.quota_gb * _GB, record.ok_share)
