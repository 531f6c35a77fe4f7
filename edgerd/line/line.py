"""Cameras in, verdicts and events out: one thread judges the frames of all of them."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from edgerd.errors import CameraError, EdgerdError, InputError, StorageError
from edgerd.line.feed import Feed
from edgerd.line.judging import Job
from edgerd.line.mailbox import Bell
from edgerd.line.record import Outlets
from edgerd.line.summary import Ended, RunSummary
from edgerd.line.update import Update

STOP_POLL_S = 0.1
"""While no frame comes, the line looks so often whether it is to stop, and keeps a GPU warm."""


class Line:
    """Judges the frames of all feeds, in the thread that calls `run`.

    It takes a frame from the feed that has waited longest and submits it to the feed's inspector. Where the inspector
    has as many frames under way as it may have, it waits for the oldest, and that frame's feed concludes: it counts the
    verdict, raises or clears alerts, and writes both down.

    A frame that cannot be judged is NO_DECISION, with the reason in its verdict line, and the run goes on: a frame that
    arrived damaged, a picture that cannot be read, does not fit the region, is black or badly exposed; from a live
    camera a frozen one; from a camera or video one of another size than the first. A lost camera is the last such line
    of its feed; the others go on.

    Args:
        feeds: The cameras, each with its inspector.
        outlets: Where events and verdicts go; closed at the end. Nowhere where None.
        on_update: Called after every frame, in this thread.
        stop: Set, from any thread or a signal handler, to end the run after the frames under way, their alerts
            delivered; KeyboardInterrupt ends it where it is.
        profile: Report `engine_ms`.

    Attributes:
        turned_s: When the loop last began a turn, on `time.monotonic`'s clock; a line that is stuck begins no more.

    Raises:
        InputError: Two feeds have one name.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        outlets: Outlets | None = None,
        *,
        on_update: Callable[[Update], None] | None = None,
        stop: threading.Event | None = None,
        profile: bool = False,
    ) -> None:
        _check_names(feeds)
        self._feeds = tuple(feeds)
        self._outlets = outlets or Outlets()
        self._on_update = on_update
        self._stop = stop or threading.Event()
        self._profile = profile
        self._bell = Bell()
        self._under_way: deque[Job] = deque()
        self._errands: deque[Callable[[], None]] = deque()
        self.turned_s = time.monotonic()
        for feed in self._feeds:
            feed.begin(self._bell, self._outlets)

    def post(self, errand: Callable[[], None]) -> None:
        """Have something done between two frames, by the thread that judges: a threshold changed, say.

        Args:
            errand: Called once, soon, or not at all where the run has ended; returns at once and does not raise.
        """
        self._errands.append(errand)
        self._bell.ring()

    def run(self) -> list[RunSummary]:
        """Inspect until all cameras have ended or are lost, or the run is stopped; once.

        Returns:
            A summary per feed, in their order. An error of edgerd (camera or device lost, disk full, a region outside
            the camera's frame) and Ctrl-C end the run, not the summary: it names them, and `RunSummary.raise_for_error`
            raises the error. What was sent to the sinks stays; frames that were under way get a line as NO_DECISION.
        """
        try:
            with ExitStack() as stack:
                for feed in self._feeds:
                    stack.enter_context(feed)
                self._follow()
        except KeyboardInterrupt:
            for feed in self._unfinished():
                feed.ended = Ended.INTERRUPTED
            self._leave_undecided("the run was interrupted")
        except EdgerdError as error:  # the device failed, or an event cannot be written: no camera can go on
            self._fail_all(error)
        except BaseException as bug:  # a bug of ours is not hidden, but every frame gets its verdict line first
            self._leave_undecided(f"internal error: {type(bug).__name__}")
            raise
        finally:
            self._close()
        return [feed.summary(profiled=self._profile, warnings=self._outlets.losses) for feed in self._feeds]

    def _follow(self) -> None:
        """Judge frame after frame until every feed has ended.

        Another frame is begun before those under way are finished only if it is there already: no verdict waits for a
        camera.
        """
        while self._under_way or any(feed.ended is None for feed in self._feeds):
            self.turned_s = time.monotonic()
            while self._errands:
                self._errands.popleft()()
            if self._stop.is_set():
                self._end_all(Ended.STOPPED)
            for feed in self._feeds:
                if feed.ended is not None:
                    feed.refuse_triggers()
            waiting = self._next()
            if self._under_way and (waiting is None or len(self._under_way) >= waiting.inspector.depth):
                self._finish_oldest()
            elif waiting is not None:
                self._take_from(waiting)
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
        """Wait for a frame of any camera, or until a trigger is overdue; a GPU is kept warm meanwhile."""
        due_s = min((due_s for feed in self._feeds if (due_s := feed.due_s()) is not None), default=math.inf)
        self._bell.wait(min(STOP_POLL_S, max(0.0, due_s - time.monotonic())))
        if self._next() is None:
            for inspector in {id(feed.inspector.engine): feed.inspector for feed in self._feeds}.values():
                inspector.keep_warm()

    def _take_from(self, feed: Feed) -> None:
        """Take what waits, and submit it where it is to be judged."""
        try:
            job = feed.take()
        except Exception as error:  # raised by the camera; the frames that it gave before still get their verdicts
            self._finish_all()
            if not isinstance(error, EdgerdError):
                raise
            if not (isinstance(error, CameraError) and feed.lose(error)):
                feed.fail_to_read(error)
            return
        if job is not None:
            self._under_way.append(job)
        feed.tell_that_it_is_back()
        if job is None or job.frame is None or job.pending is not None:
            return
        while len(self._under_way) > 1 and not feed.has_room(job.frame):
            self._finish_oldest()
        if job in self._under_way:  # else a frame before it has ended the feed
            feed.submit(job)

    def _finish_all(self) -> None:
        while self._under_way:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        """Wait for the oldest frame under way, and say what was found."""
        oldest = self._under_way[0]
        assert oldest.pending is not None, "a frame was finished before it was submitted"  # noqa: S101
        try:
            inspection = oldest.pending.result()
        except (CameraError, InputError) as error:  # it concerns this camera alone; the others go on
            self._fail(oldest.feed, error)
            return
        update = oldest.feed.conclude(oldest, inspection)
        if self._on_update:
            self._on_update(update)
        # Not earlier: an error above is to find this frame among those under way, so that it gets a verdict line if it
        # has none, and so that its buffer is freed.
        self._under_way.popleft()
        oldest.feed.give_back(oldest.frame)

    def _fail(self, feed: Feed, error: EdgerdError) -> None:
        """End a feed; its frames under way get a line without a decision."""
        its = [job for job in self._under_way if job.feed is feed]
        feed.fail(error, its[0].frame if its else None)
        for job in its:
            if job.pending is not None:
                job.pending.settle()  # the GPU may read the buffer until then
            self._under_way.remove(job)
            feed.leave_undecided(job, error.what)
            feed.give_back(job.frame)

    def _fail_all(self, error: EdgerdError) -> None:
        for feed in self._unfinished():
            its = (job.frame for job in self._under_way if job.feed is feed and not job.is_told)
            feed.fail(error, next(its, None))
        self._leave_undecided(error.what)

    def _end_all(self, ended: Ended) -> None:
        for feed in self._feeds:
            feed.ended = feed.ended or ended

    def _unfinished(self) -> list[Feed]:
        """Feeds that would have given more frames, or have some under way."""
        busy = {id(job.feed) for job in self._under_way}
        return [feed for feed in self._feeds if feed.ended is None or id(feed) in busy]

    def _leave_undecided(self, reason: str) -> None:
        """Write a verdict line, NO_DECISION, for every frame that came and has none."""
        for job in self._under_way:
            job.feed.leave_undecided(job, reason)
        for feed in self._feeds:
            feed.leave_the_rest_undecided(reason)

    def _close(self) -> None:
        """Give back the buffers of frames that were left under way, and say the last things."""
        for job in self._under_way:
            job.feed.give_back(job.frame)
        for feed in self._feeds:
            feed.refuse_triggers()
            if not self._outlets.outlasts_the_run:
                self._try_to_say(feed, partial(feed.close_alert, f"the run has ended: {feed.outcome.value}"))
        first = self._feeds[0]
        bundle = first.inspector.bundle.manifest.id
        self._try_to_say(first, partial(self._outlets.close, first.name, bundle))

    @staticmethod
    def _try_to_say(feed: Feed, say: Callable[[], None]) -> None:
        """Say a last thing about a feed. Where the event cannot be written, that ends the feed; the others go on."""
        try:
            say()
        except StorageError as error:
            feed.fail(error, None)


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
