"""Watch a camera or file for pictures that stand for all it shows: whole frames, evenly spread over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.types import Frame

_NAMED_FRAMES = 3
"""How many damaged frames are named one by one; all are counted."""

_ROUNDING_S = 1e-9
"""Times of a video's frames and sums of intervals are rounded: a frame that is due at its very moment is not missed."""


class Thinning:
    """Says when the next frame may be taken, so that those taken are evenly spread over time.

    A frame comes a little later than it is due, which the next one makes up for. More than half an interval is not made
    up for, whatever the reason (frames that were rejected, a camera that was silent): what was missed is missed, or a
    burst of neighbouring frames, all nearly the same, would stand for a long time. So any n frames that were taken one
    after the other span n - 1.5 intervals at least.

    Args:
        interval_s: From one frame to the next, seconds; 0 to take every frame.
        now_s: On a monotonic clock.
    """

    def __init__(self, interval_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._due_s = now_s

    def is_due(self, now_s: float) -> bool:
        """Whether a frame of this moment may be taken."""
        return now_s >= self._due_s - _ROUNDING_S

    def took(self, now_s: float) -> None:
        """Note that a frame of this moment was taken."""
        is_late = now_s - self._due_s > self._interval_s / 2
        self._due_s = (now_s if is_late else self._due_s) + self._interval_s


class Watch:
    """Reads a camera for some time, or a file to its end, and offers the frames that are due.

    Args:
        camera: Open; it stays open.
        interval_s: From one frame that is taken to the next, seconds; 0 to be offered every frame.
        minutes: How long a live camera is watched.
        say: Told of the first few damaged frames, a line each.
        moment_s: When a frame was, in seconds from the beginning, for files, which are read faster than they were
            recorded; None for the time of reading.
        stop: Set, from any thread, to end the watch.
        on_frame: Told after each frame that came.

    Attributes:
        n_read: How many frames came, damaged ones among them.
        n_damaged: How many of them were damaged, or pictures that cannot be read.
        n_between: How many of them were not due.
        has_ended: Whether the camera's frames came to an end.
    """

    def __init__(
        self,
        camera: Camera,
        interval_s: float,
        *,
        minutes: float,
        say: Callable[[str], None],
        moment_s: Callable[[Frame], float] | None = None,
        stop: threading.Event | None = None,
        on_frame: Callable[[], None] = lambda: None,
    ) -> None:
        self.n_read = 0
        self.n_damaged = 0
        self.n_between = 0
        self.has_ended = False
        self._camera = camera
        self._minutes = minutes
        self._say = say
        self._moment_s = moment_s
        self._stop = stop or threading.Event()
        self._on_frame = on_frame
        self._began_s = time.monotonic()
        self._thinning = Thinning(interval_s, 0.0 if moment_s else self._began_s)
        self._now_s = self._began_s

    def due_frames(self) -> Iterator[Frame]:
        """Whole frames that may be taken, in the order in which they come; `took` says that the latest one was.

        Raises:
            CameraError: The camera was lost.
        """
        while not self._stop.is_set() and not self._is_over():
            try:
                frame = self._camera.read()
            except UnreadablePictureError as error:
                self._leave_out(error)
                continue
            if frame is None:
                self.has_ended = True
                return
            self.n_read += 1
            self._on_frame()
            self._now_s = self._moment_s(frame) if self._moment_s else time.monotonic()
            if self._thinning.is_due(self._now_s):
                yield frame
            else:
                self.n_between += 1

    def took(self) -> None:
        """Note that the frame that was offered last was taken; otherwise the one after it is due as well."""
        self._thinning.took(self._now_s)

    def _is_over(self) -> bool:
        return self._camera.live and time.monotonic() - self._began_s >= self._minutes * 60.0

    def _leave_out(self, error: UnreadablePictureError) -> None:
        self.n_read += 1
        self.n_damaged += 1
        self._on_frame()
        if self.n_damaged <= _NAMED_FRAMES:
            self._say(f"left out: {error.what}")
