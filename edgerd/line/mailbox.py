"""Where a line takes a live camera's frames from: a one-slot mailbox.

A live camera goes on while a frame is being judged. In a queue the old frames would pile up, and every verdict would
speak of a part that is long gone; so a thread reads the camera all the time and keeps the newest frame only.
"""

from __future__ import annotations

import math
import threading
import time
from types import TracebackType
from typing import Literal

from edgerd.cameras.protocol import (
    LIVE_TIMEOUT_S,
    Camera,
    ReturningCamera,
    UnreadablePictureError,
    silent_camera,
)
from edgerd.errors import CameraError
from edgerd.inspection.slots import Buffers
from edgerd.line.source import Reader
from edgerd.types import Frame

JOIN_S = 1.0
_DOUBT_S = 0.5
"""So long a silence is doubted once it is noticed: the process may have stood still, the camera's thread included."""


class Bell:
    """Rings when a frame has come, from whichever camera of a line: so one thread can wait for all of them."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake who waits, or who is about to."""
        self._rung.set()

    def wait(self, timeout_s: float) -> None:
        """Return at the next ring; at once where it has rung since the last wait.

        Look for frames after this returns, and not before it is called: a frame that comes in between rings again.
        """
        self._rung.wait(timeout_s)
        self._rung.clear()


class Mailbox:
    """A camera's frames, read by a thread of its own.

    Args:
        camera: Closed on leaving.
        bell: Rung whenever there is something to take.
        keep: "newest": a frame that was not taken is replaced by the next. "every": the camera waits until it is taken.
        silence_s: How long there may be no frame, whatever the driver thinks of it. A camera that comes back says
            itself when it is lost.
        buffers: Where frames are to lie; None for arrays of the camera's own.

    Attributes:
        dropped: Frames that nobody took: a newer one has replaced them, or they came when the run had ended.
    """

    def __init__(
        self,
        camera: Camera,
        bell: Bell,
        *,
        keep: Literal["newest", "every"] = "newest",
        silence_s: float = LIVE_TIMEOUT_S,
        buffers: Buffers | None = None,
    ) -> None:
        self.dropped = 0
        self._camera = camera
        self._bell = bell
        self._keep = keep
        self._comes_back = isinstance(camera, ReturningCamera)
        self._silence_s = math.inf if self._comes_back else silence_s
        self._reader = Reader(camera, buffers)
        self._changed = threading.Condition()
        self._slot: Frame | UnreadablePictureError | None = None
        self._waits_since_s: float | None = None
        self._heard_s = time.monotonic()
        self._noticed_s: float | None = None
        """When a silence was noticed; None while there is none."""
        self._before_loss: Frame | UnreadablePictureError | None = None
        self._loss: CameraError | None = None
        self._ended = False
        self._error: Exception | None = None
        self._leaving = threading.Event()
        # A daemon: a driver that never returns from its read must not keep the process from ending.
        self._thread = threading.Thread(target=self._capture, name=f"capture {camera.uri}", daemon=True)

    def __enter__(self) -> Mailbox:
        """Begin to read, in a thread."""
        self._heard_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the camera, and free the buffers of the frames that nobody took."""
        with self._changed:
            self._leaving.set()
            self._changed.notify_all()
        try:
            self._camera.close()
            self._thread.join(JOIN_S)
        finally:
            with self._changed:
                self._drop()
                self._slot, self._before_loss = self._before_loss, None
                self._drop()

    def waits_since(self) -> float | None:
        """Since when something waits to be taken, on `time.monotonic`'s clock; None where nothing does.

        Not only frames wait: so do the loss of the camera, the end of the source, and its silence. A frame that
        replaces another has waited as long as that one: else a fast camera would always come last.
        """
        with self._changed:
            if self._waits_since_s is not None:
                return self._waits_since_s
            silent_since_s, now_s = self._heard_s + self._silence_s, time.monotonic()
            if now_s < silent_since_s:
                return None
            self._noticed_s = self._noticed_s or now_s
            return silent_since_s if now_s >= self._noticed_s + _DOUBT_S else None

    def take(self) -> Frame | None:
        """What waits: a frame; None at the end of the source. To be called only where something does.

        Raises:
            CameraError: The camera was lost, or is silent. After a loss, one that comes back can be taken from again.
            UnreadablePictureError: One picture cannot be read; take again.
            Exception: Whatever else the camera raised, once the frames before it are taken.
        """
        with self._changed:
            taken = self._next()
            if taken is None and not self._ended:
                raise silent_camera(self._camera.uri, self._silence_s)
            self._heard()
            has_more = self._ended or self._loss is not None or self._slot is not None
            self._waits_since_s = self._heard_s if has_more else None
            self._changed.notify_all()
        if isinstance(taken, Exception):
            raise taken
        if taken is None and self._error is not None:
            raise self._error
        return taken

    def _next(self) -> Frame | UnreadablePictureError | CameraError | None:
        """The oldest of what waits: a frame, the loss of the camera after it, and a frame since it is back."""
        taken: Frame | UnreadablePictureError | CameraError | None
        if self._before_loss is not None:
            taken, self._before_loss = self._before_loss, None
        elif self._loss is not None:
            taken, self._loss = self._loss, None
        else:
            taken, self._slot = self._slot, None
        return taken

    def _capture(self) -> None:
        try:
            while self._has_room():
                try:
                    item: Frame | UnreadablePictureError | None = self._reader.read()
                except UnreadablePictureError as unreadable:
                    item = unreadable
                except CameraError as loss:
                    if not self._comes_back:
                        raise
                    self._put_loss(loss)
                    continue
                if item is None:
                    break
                self._put(item)
        except Exception as error:  # noqa: BLE001 - `take` raises it
            self._error = error
        with self._changed:
            self._ended = True
            self._note_arrival()
        self._bell.ring()

    def _has_room(self) -> bool:
        """Wait until the next frame may be read; False when the run has ended."""
        with self._changed:
            while self._keep == "every" and self._slot is not None and not self._leaving.is_set():
                self._changed.wait()
            return not self._leaving.is_set()

    def _put(self, item: Frame | UnreadablePictureError) -> None:
        """Let an item take the place of the one that waits. At no moment is the slot seen empty that was full."""
        if isinstance(item, Frame):
            item = self._reader.buffered(item)
        with self._changed:
            self._drop()
            if isinstance(item, Frame):
                item = self._reader.buffered(item)  # the frame that it replaces may have had the only free buffer
            self._slot = item
            self._note_arrival()
            if self._leaving.is_set():  # nobody will take it, nor empty the slot again
                self._drop()
        self._bell.ring()

    def _put_loss(self, loss: CameraError) -> None:
        """Keep the loss of a camera, and the frame before it. A loss that nobody has heard of yet stays the one."""
        with self._changed:
            if self._loss is None:
                self._before_loss, self._slot = self._slot, None
                self._loss = loss
            self._note_arrival()
        self._bell.ring()

    def _heard(self) -> None:
        self._heard_s, self._noticed_s = time.monotonic(), None

    def _note_arrival(self) -> None:
        self._heard()
        if self._waits_since_s is None:
            self._waits_since_s = self._heard_s

    def _drop(self) -> None:
        with self._changed:
            older, self._slot = self._slot, None
            self.dropped += older is not None
        if isinstance(older, Frame):
            self._reader.give_back(older)
