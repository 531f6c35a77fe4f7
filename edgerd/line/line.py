"""Cameras in, verdicts and events out: one thread judges the frames of all of them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from edgerd.cameras.protocol import UnreadablePictureError
from edgerd.errors import CameraError, EdgerdError, InputError
from edgerd.inspection.judge import Pending
from edgerd.line.feed import Feed, Update
from edgerd.line.mailbox import Bell
from edgerd.line.record import Outlets
from edgerd.line.summary import Ended, RunSummary
from edgerd.sinks.protocol import Sink
from edgerd.types import Frame

STOP_POLL_S = 0.1
"""While nothing comes: so often it is looked whether to stop, and a GPU is kept warm."""


@dataclass(eq=False)
class _UnderWay:
    """A frame that was taken and has no verdict yet; `pending` is None until it was submitted."""

    feed: Feed
    frame: Frame
    pending: Pending | None = None


class Line:
    """A frame's way: taken from the feed that waits longest, submitted, under way, concluded by its feed.

    A frame that cannot be judged is NO_DECISION, with the reason in its verdict line, and the run goes on: a frame that
    arrived damaged, a picture that cannot be read, does not fit the region, is black or badly exposed; from a live
    camera a frozen one; from a camera or video one of another size than the first. A lost camera is the last such line
    of its feed; the others go on.

    Args:
        feeds: The cameras, each with its inspector.
        event_sinks: Get the alerts, and what happened to cameras, device and disk; stay open. Where one does not take
            an event the run ends.
        verdict_sinks: Get a line per frame; stay open. Lines that one does not take are dropped and counted.
        on_update: Called after every frame, in this thread.
        stop: Set, from any thread or a signal handler, to end the run after the frames under way, their alerts
            delivered; KeyboardInterrupt ends it where it is.
        profile: Report `engine_ms`.

    Raises:
        InputError: Two feeds have one name.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        *,
        event_sinks: Iterable[Sink] = (),
        verdict_sinks: Iterable[Sink] = (),
        on_update: Callable[[Update], None] | None = None,
        stop: threading.Event | None = None,
        profile: bool = False,
    ) -> None:
        _check_names(feeds)
        self._feeds = tuple(feeds)
        self._event_sinks = tuple(event_sinks)
        self._verdict_sinks = tuple(verdict_sinks)
        self._on_update = on_update
        self._stop = stop or threading.Event()
        self._profile = profile
        self._bell = Bell()
        self._under_way: deque[_UnderWay] = deque()

    def run(self) -> list[RunSummary]:
        """Inspect until all cameras have ended or are lost, or the run is stopped; once.

        Returns:
            A summary per feed, in their order. An error of edgerd (camera or device lost, disk full, a region outside
            the camera's frame) and Ctrl-C end the run, not the summary: it names them, and `RunSummary.raise_for_error`
            raises the error. What was sent to the sinks stays; frames that were under way get a line as NO_DECISION.
        """
        outlets = Outlets(self._event_sinks, self._verdict_sinks)
        for feed in self._feeds:
            feed.begin(self._bell, outlets)
        try:
            with ExitStack() as stack:
                for feed in self._feeds:
                    stack.enter_context(feed)
                self._follow()
        except KeyboardInterrupt:
            for feed in self._unfinished():
                feed.ended = Ended.INTERRUPTED
            self._leave_undecided("the run was interrupted")
        except EdgerdError as error:  # of the device, or of an event that cannot be written: there is no going on
            self._fail_all(error)
        except Exception as bug:  # nobody's doing but ours: it goes on its way, but no frame goes without its line
            self._leave_undecided(f"internal error: {type(bug).__name__}")
            raise
        finally:
            self._close(outlets)
        return [feed.summary(profiled=self._profile, warnings=outlets.losses) for feed in self._feeds]

    def _follow(self) -> None:
        """Frame after frame, until no feed gives any; as many under way at once as the inspector may have.

        A frame is begun before those under way are finished only if it is there: no verdict waits for a camera.
        """
        while self._under_way or any(feed.ended is None for feed in self._feeds):
            if self._stop.is_set():
                self._end_all(Ended.STOPPED)
            feed = self._next()
            if self._under_way and (feed is None or len(self._under_way) >= feed.inspector.depth):
                self._finish_oldest()
            elif feed is not None:
                self._take_from(feed)
            elif not self._stop.is_set():
                self._wait()

    def _next(self) -> Feed | None:
        """The feed whose frame waits longest; None where none does."""
        longest: tuple[float, Feed] | None = None
        for feed in self._feeds:
            since_s = feed.waits_since()
            if since_s is not None and (longest is None or since_s < longest[0]):
                longest = since_s, feed
        return longest[1] if longest else None

    def _wait(self) -> None:
        """Wait for a frame of any camera; a GPU is kept warm meanwhile."""
        self._bell.wait(STOP_POLL_S)
        if self._next() is None:
            for inspector in {id(feed.inspector.engine): feed.inspector for feed in self._feeds}.values():
                inspector.keep_warm()

    def _take_from(self, feed: Feed) -> None:
        """Take a frame and submit it."""
        try:
            frame = feed.take()
        except UnreadablePictureError as unreadable:
            self._under_way.append(_UnderWay(feed, unreadable.frame, feed.undecided(unreadable.what)))
            return
        except Exception as error:  # of the camera: the frames before it count
            self._finish_all()
            if not isinstance(error, EdgerdError):
                raise
            feed.fail(error, None)
            return
        if frame is None:
            return
        entry = _UnderWay(feed, frame)
        self._under_way.append(entry)
        while len(self._under_way) > 1 and not feed.has_room(frame):
            self._finish_oldest()
        if entry in self._under_way:  # else a frame before it has ended the feed
            entry.pending = feed.submit(frame)

    def _finish_all(self) -> None:
        while self._under_way:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        """Wait for the oldest frame under way, and say what was found."""
        oldest = self._under_way[0]
        assert oldest.pending is not None, "a frame was finished before it was submitted"  # noqa: S101
        try:
            inspection = oldest.pending.result()
        except (CameraError, InputError) as error:  # of this camera's frames; the others go on
            self._fail(oldest.feed, error)
            return
        self._under_way.popleft()
        try:
            update = oldest.feed.conclude(oldest.frame, inspection)
            if self._on_update:
                self._on_update(update)
        finally:
            oldest.feed.give_back(oldest.frame)

    def _fail(self, feed: Feed, error: EdgerdError) -> None:
        """End a feed; its frames under way get a line without a decision."""
        its = [entry for entry in self._under_way if entry.feed is feed]
        feed.fail(error, its[0].frame if its else None)
        for entry in its:
            if entry.pending is not None:
                entry.pending.settle()  # until then the GPU may read the buffer
            self._under_way.remove(entry)
            feed.leave_undecided(entry.frame, error.what)
            feed.give_back(entry.frame)

    def _fail_all(self, error: EdgerdError) -> None:
        for feed in self._unfinished():
            its = next((entry.frame for entry in self._under_way if entry.feed is feed), None)
            feed.fail(error, its)
        self._leave_undecided(error.what)

    def _end_all(self, ended: Ended) -> None:
        for feed in self._feeds:
            feed.ended = feed.ended or ended

    def _unfinished(self) -> list[Feed]:
        """Feeds that would have given more frames, or have some under way."""
        busy = {id(entry.feed) for entry in self._under_way}
        return [feed for feed in self._feeds if feed.ended is None or id(feed) in busy]

    def _leave_undecided(self, reason: str) -> None:
        for entry in self._under_way:
            entry.feed.leave_undecided(entry.frame, reason)

    def _close(self, outlets: Outlets) -> None:
        """Give back the buffers of frames that were left under way, and let those who watch take what waits."""
        for entry in self._under_way:
            entry.feed.give_back(entry.frame)
        first = self._feeds[0]
        try:
            outlets.close(first.name, first.inspector.bundle.manifest.id)
        except EdgerdError as error:  # an event about such a loss cannot be written
            first.fail(error, None)


def _check_names(feeds: Sequence[Feed]) -> None:
    if not feeds:
        raise InputError("A line without cameras inspects nothing.", expected="one camera or more")
    name, n = Counter(feed.name for feed in feeds).most_common(1)[0]
    if n > 1:
        raise InputError(
            f"{n} cameras are called {name}.",
            expected="a name of its own for each, because alerts go by it",
            hint="Name each camera once.",
        )
