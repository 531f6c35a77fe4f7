"""Where the loop takes its frames from: a one-slot mailbox that keeps the newest, or one after the other.

A live camera goes on while a frame is being judged. In a queue the old frames would pile up, and every verdict would
speak of a part that is long gone; so a thread reads the camera all the time and keeps the newest frame only.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from edgerd.cameras.protocol import LIVE_TIMEOUT_S, Camera, UnreadablePictureError, silent_camera
from edgerd.types import Frame

STOP_POLL_S = 0.1
JOIN_S = 1.0


class Mailbox:
    """The newest frame of a camera, read by a thread of its own.

    Used as a context manager, which starts and ends the thread.

    Args:
        camera: Closed on leaving.
        silence_s: How long to wait for a frame, whatever the driver thinks of it.

    Attributes:
        dropped: Frames that a newer one has replaced before they were taken.
    """

    def __init__(self, camera: Camera, silence_s: float = LIVE_TIMEOUT_S) -> None:
        self.dropped = 0
        self._camera = camera
        self._silence_s = silence_s
        self._changed = threading.Condition()
        self._slot: Frame | UnreadablePictureError | None = None
        self._ended = False
        self._error: Exception | None = None
        self._leaving = threading.Event()
        # A daemon: a driver that never returns from its read must not keep the process from ending.
        self._thread = threading.Thread(target=self._capture, name=f"capture {camera.uri}", daemon=True)

    def __enter__(self) -> Mailbox:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._camera.close()
        self._thread.join(JOIN_S)

    def take(self, stop: threading.Event) -> Frame | None:
        """Wait for a frame that was not taken yet.

        Args:
            stop: Set to end the wait.

        Returns:
            The newest frame; None at the end of the source, or when stopped.

        Raises:
            CameraError: The camera was lost, or is silent.
            UnreadablePictureError: In place of one picture; take again.
            Exception: Whatever else the camera raised, once the frames before it are taken.
        """
        deadline = time.monotonic() + self._silence_s
        with self._changed:
            while self._slot is None and not self._ended and not stop.is_set():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise silent_camera(self._camera.uri, self._silence_s)
                self._changed.wait(min(left_s, STOP_POLL_S))
            taken, self._slot = self._slot, None
        if isinstance(taken, UnreadablePictureError):
            raise taken
        if taken is None and self._error is not None:
            raise self._error
        return taken

    def _capture(self) -> None:
        try:
            while not self._leaving.is_set():
                try:
                    item: Frame | UnreadablePictureError | None = self._camera.read()
                except UnreadablePictureError as unreadable:
                    item = unreadable
                if item is None:
                    break
                self._put(item)
        except Exception as error:  # noqa: BLE001 - `take` raises it
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _put(self, item: Frame | UnreadablePictureError) -> None:
        with self._changed:
            self.dropped += self._slot is not None
            self._slot = item
            self._changed.notify()


class Sequential:
    """Every frame of a camera, one after the other, read when it is wanted; the same methods as `Mailbox`.

    Args:
        camera: Closed on leaving.
    """

    dropped = 0

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def __enter__(self) -> Sequential:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._camera.close()

    def take(self, stop: threading.Event) -> Frame | None:
        """Read the next frame; as `Mailbox.take`."""
        return None if stop.is_set() else self._camera.read()
