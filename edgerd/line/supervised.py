"""A live camera that comes back: it is reopened for ever, and its outages are told once.

A driver may block for ever, when it opens a camera as well as when it reads one, and nothing can wake it. So each
opening of the camera gets a thread of its own (`edgerd.line.connection`), which is left behind when it takes too long.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from edgerd.cameras import comes_back, open_camera
from edgerd.cameras.protocol import (
    LIVE_TIMEOUT_S,
    Camera,
    ReopeningCamera,
    TriggeredCamera,
    UnreadablePictureError,
)
from edgerd.errors import CameraError
from edgerd.line.connection import Connection
from edgerd.redaction import without_secrets
from edgerd.types import Frame

OPEN_TIMEOUT_S: Final = 20.0
"""Longer than any driver of `edgerd.cameras` takes that gives up by itself."""
MAX_ABANDONED: Final = 8
"""So many threads of one camera may hang in its driver before no more are started."""
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 0.5
"""Between two tries to reopen a camera; the pause doubles from the first to this."""


def open_supervised(uri: str, silence_s: float = LIVE_TIMEOUT_S) -> Camera:
    """The camera of a URI, under supervision where its source may go and come back.

    Args:
        uri: One of the forms that the docstring of `edgerd.cameras` lists.
        silence_s: A supervised camera that gives nothing for so long is lost.

    Raises:
        InputError: The URI means nothing, or names a folder or glob without pictures. A supervised camera is opened by
            its first `read`, which then raises what opening raises.
        CameraError: A video does not open.
    """
    if not comes_back(uri):
        return open_camera(uri)
    return SupervisedCamera(lambda: open_camera(uri), uri, silence_s=silence_s)


class SupervisedCamera:
    """A camera that never ends: when it is lost, it is opened again and again until a frame comes.

    A `read` that finds the camera lost raises the CameraError, once. The calls after that reopen it until they have a
    frame. So a CameraError begins an outage, and a frame (or a damaged one) ends it. Another CameraError during the
    same outage means that reopening fails for another reason now; no reason is told twice in one outage.

    It is no `FillingCamera`, whatever the camera below it is: a driver that hangs could write to the memory it was lent
    when that has long been given back. Whoever wants frames in memory of its own copies them (1080p: half a
    millisecond). That takes as long as having the driver write to other memory that is lent to it.

    It is a `TriggeredCamera`, because what the camera below it is shows only when it is open.

    Args:
        open_camera: Opens the camera; called from other threads, by one at a time unless it hangs. A camera that can be
            found faster again (`ReopeningCamera`) is asked itself once it was open.
        uri: The address of the camera, with or without secrets.
        silence_s: A camera that gives nothing for so long is lost. A camera that waits for a trigger may be silent.
        open_timeout_s: How long opening may take, and then the first frame.

    Attributes:
        last_error: Why the camera gives no frames, the latest reason; None while it gives some.
    """

    live = True
    fixed_size = True
    n_frames: int | None = None
    comes_back = True

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        uri: str,
        *,
        silence_s: float = LIVE_TIMEOUT_S,
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        self.uri = without_secrets(uri)
        self.last_error: CameraError | None = None
        self._open_camera = open_camera
        self._silence_s = silence_s
        self._open_timeout_s = open_timeout_s
        self._connection: Connection | None = None
        self._was_open: ReopeningCamera | None = None
        self._abandoned: list[Connection] = []
        self._outage = _Outage()
        self._closed = threading.Event()
        self._first_number = 0  # of this connection
        self._next_number = 0
        self._captured_at = 0.0
        self._captured_monotonic_s = 0.0

    @property
    def triggered(self) -> bool:
        """Whether the camera takes pictures only when it is told to; False while it is lost."""
        connection = self._connection
        return connection is not None and connection.triggered

    def trigger(self) -> None:
        """Have a picture taken.

        Raises:
            CameraError: The camera is lost, or takes no software trigger.
        """
        connection = self._connection
        camera = connection.camera if connection is not None else None
        if camera is None or not isinstance(camera, TriggeredCamera):
            raise self.last_error or CameraError(
                f"Camera {self.uri} takes no software trigger.",
                expected="an open camera with trigger=software",
                hint="For example: --camera 'genicam://SERIAL?trigger=software'",
            )
        camera.trigger()

    def read(self) -> Frame | None:
        """The next frame, for which it waits as long as it takes; None once closed.

        Raises:
            CameraError: The camera was lost, or reopening it fails for another reason than before.
            UnreadablePictureError: This frame arrived damaged.
            InputError: The URI means nothing, whatever camera is there.
            MissingDependencyError: What reads such a camera is not installed.
        """
        while not self._closed.is_set():
            frame = self._try()
            if frame is not None:
                return frame
        return None

    def close(self) -> None:
        """Let go of the camera and wake a `read` that waits; from any thread, and without waiting."""
        # Without a lock, so that a signal handler may call it. It looks for a connection after it has said that this is
        # closed, `_connect` looks whether it is closed after it has put one there: one of them finds the other.
        self._closed.set()
        connection = self._connection
        if connection is not None:
            connection.abandon()

    def _try(self) -> Frame | None:
        """A frame, or what is to be told in its place; None where neither has come."""
        try:
            frame = self._next()
        except UnreadablePictureError as damaged:
            self._end_outage()
            raise damaged.with_frame(self._renumbered(damaged.frame)) from damaged
        except CameraError as error:
            self._disconnect()
            if self._closed.is_set():
                return None
            self.last_error = error
            if self._outage.is_news(error.what):
                raise
            return None
        except BaseException:
            self._disconnect()
            raise
        if frame is None:
            return None
        self._end_outage()
        return self._renumbered(frame)

    def _next(self) -> Frame | None:
        """The next frame of the camera, which is opened first where it is not open; None once closed."""
        connection = self._connection or self._connect()
        if connection is None:
            return None
        # The first frame is a part of opening: of a stream it may be a key frame that has yet to come.
        return connection.read(self._silence_s if connection.n_frames else self._open_timeout_s)

    def _connect(self) -> Connection | None:
        """Open the camera, after a pause where it was lost or did not open before; None once closed."""
        if self.last_error is not None:
            self._closed.wait(self._outage.next_pause_s())
        self._abandoned = [one for one in self._abandoned if one.is_alive()]
        if len(self._abandoned) >= MAX_ABANDONED:
            raise CameraError(
                f"The driver of camera {self.uri} hangs: {len(self._abandoned)} threads wait for it for ever.",
                expected="a driver that returns from opening or reading the camera",
                hint="Unplug the camera and plug it in again, or restart edgerd.",
            )
        opens = self._open_camera if self._was_open is None else self._was_open.reopen
        self._connection = connection = Connection(opens, self.uri)
        if self._closed.is_set():
            return None
        self._first_number = self._next_number
        connection.start()
        connection.wait_until_open(self._open_timeout_s)
        if isinstance(connection.camera, ReopeningCamera):
            self._was_open = connection.camera
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()
            self._abandoned.append(connection)

    def _end_outage(self) -> None:
        self.last_error = None
        self._outage.end()

    def _renumbered(self, frame: Frame) -> Frame:
        """The frame with a number that goes on counting, and times that do not go back, over all connections."""
        number = max(self._first_number + frame.number, self._next_number)
        self._next_number = number + 1
        # But the system's clock may be set back, and no frame comes from the future: else one wrong time would be that
        # of all frames until it has passed.
        self._captured_at = min(max(self._captured_at, frame.captured_at), time.time())
        self._captured_monotonic_s = min(max(self._captured_monotonic_s, frame.captured_monotonic_s), time.monotonic())
        return replace(
            frame,
            number=number,
            captured_at=self._captured_at,
            captured_monotonic_s=self._captured_monotonic_s,
        )


class _Outage:
    """What was told of an outage, and how long to wait before the camera is opened again."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._began_with_a_loss = False
        self._pause_s = FIRST_PAUSE_S
        self._frames_since_s: float | None = None

    def is_news(self, reason: str) -> bool:
        """Whether a reason is to be told.

        The first of an outage is, and of the later ones each that is new. But where frames came before, reopening fails
        for another reason than the loss by nature ("the other side ended the stream", then "connection refused"), so
        that the first other reason is not.
        """
        begins = not self._known
        if begins:
            self._began_with_a_loss = self._frames_since_s is not None
            if self._frames_since_s is not None and time.monotonic() - self._frames_since_s > MAX_PAUSE_S:
                self._pause_s = FIRST_PAUSE_S  # else it is lost again and again: no reason to hurry
            self._frames_since_s = None
        is_first_other = self._began_with_a_loss and len(self._known) == 1
        is_new = reason not in self._known
        self._known.add(reason)
        return is_new and not is_first_other

    def next_pause_s(self) -> float:
        """How long to wait before the next try, with jitter, so that many cameras do not try at the same moment."""
        pause_s = self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311 -- nothing is kept secret by it
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        return pause_s

    def end(self) -> None:
        """A frame came."""
        self._known.clear()
        if self._frames_since_s is None:
            self._frames_since_s = time.monotonic()
