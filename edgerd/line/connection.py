"""One opening of a live camera, in a thread of its own that can be left behind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edgerd.cameras.protocol import Camera, TriggeredCamera, lost_camera, silent_camera
from edgerd.errors import CameraError
from edgerd.types import Frame


@dataclass(frozen=True)
class _Outcome:
    """What came of opening the camera, or of a request.

    Attributes:
        frame: What `read` gave.
        error: What it raised instead.
    """

    frame: Frame | None = None
    error: BaseException | None = None


class Connection:
    """Opens a camera and reads it, in a thread of its own; one other thread asks it for frames.

    Each frame is read when it is asked for, so none is kept that nobody wants. The thread is a daemon: one that hangs
    in a driver does not keep the process from ending. A driver that hangs and holds Python's global lock stops the
    whole process; against that only the watchdog of a service helps.

    Args:
        open_camera: Called in the thread.
        uri: For errors, without secrets.

    Attributes:
        camera: Once it is open.
        n_frames: Whole frames that it gave.
    """

    def __init__(self, open_camera: Callable[[], Camera], uri: str) -> None:
        self.camera: Camera | None = None
        self.n_frames = 0
        self._open_camera = open_camera
        self._uri = uri
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True for a frame that is wanted, False to end."""
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {uri}", daemon=True)
        self._closer: threading.Thread | None = None

    @property
    def triggered(self) -> bool:
        """Whether the camera is open and waits for a trigger, so that its silence is no loss."""
        return isinstance(self.camera, TriggeredCamera) and self.camera.triggered

    def start(self) -> None:
        """Begin to open the camera."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether a thread of this connection runs still, though it may have been abandoned."""
        return self._thread.is_alive() or (self._closer is not None and self._closer.is_alive())

    def wait_until_open(self, timeout_s: float) -> None:
        """Wait until the camera is open, or the connection is abandoned.

        Raises:
            CameraError: It does not open, or not in time.
            Exception: Whatever else opening raises.
        """
        try:
            error = self._outcomes.get(timeout=timeout_s).error
        except queue.Empty:
            raise CameraError(
                f"Camera {self._uri} has not opened within {timeout_s:g} s.",
                expected="a driver that opens the camera, or says why not",
                hint="Check its power, its cable or network, and whether another program took it.",
            ) from None
        if error is not None:
            raise error

    def read(self, silence_s: float) -> Frame | None:
        """The next frame; None once abandoned.

        Args:
            silence_s: How long to wait; a camera that waits for a trigger is waited for without end.

        Raises:
            CameraError: The camera was lost, is silent, or has ended, as no live camera should.
            UnreadablePictureError: This frame arrived damaged.
            Exception: Whatever else the camera raises.
        """
        if self._abandoned.is_set():  # `wait_until_open` may have had the outcome that says so
            return None
        self._requests.put(True)
        try:
            outcome = self._outcomes.get(timeout=None if self.triggered else silence_s)
        except queue.Empty:
            raise silent_camera(self._uri, silence_s) from None
        if outcome.error is not None:
            raise outcome.error
        if outcome.frame is not None:
            self.n_frames += 1
        elif not self._abandoned.is_set():
            raise lost_camera(self._uri, "its source has ended", self.n_frames)
        return outcome.frame

    def abandon(self) -> None:
        """Let go of the camera without waiting: whatever it still gives is thrown away; safe to call twice.

        A camera that has not opened yet is closed as soon as it has.
        """
        if self._abandoned.is_set():
            return
        self._abandoned.set()
        self._requests.put(False)
        self._outcomes.put(_Outcome())  # for a thread that waits
        if self.camera is not None:
            # `close` wakes most drivers, but some take their time for it.
            self._closer = threading.Thread(target=self.camera.close, name=f"close {self._uri}", daemon=True)
            self._closer.start()

    def _run(self) -> None:
        try:
            camera = self._open_camera()
        except BaseException as error:  # noqa: BLE001 -- `wait_until_open` raises it
            self._outcomes.put(_Outcome(error=error))
            return
        try:
            self.camera = camera
            self._outcomes.put(_Outcome())
            while self._requests.get():
                self._outcomes.put(_read(camera))
        finally:
            camera.close()


def _read(camera: Camera) -> _Outcome:
    try:
        return _Outcome(camera.read())
    except BaseException as error:  # noqa: BLE001 -- `Connection.read` raises it
        return _Outcome(error=error)
