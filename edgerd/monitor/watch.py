"""Tells the service manager when a line is ready, how it is, and that it is not stuck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from edgerd.monitor.snapshot import CameraState, LineSnapshot
from edgerd.redaction import without_secrets
from edgerd.service import ServiceManager

TICK_S: Final = 5.0
"""How often the status is told where there is no watchdog, seconds."""
_STARTING_TICK_S = 0.2
_LEAVE_S = 1.0


class ServiceWatch:
    """A thread that watches a line for the service manager, from entering to leaving.

    The watchdog is fed only while the line makes progress: its thread must have finished a turn within half of the
    watchdog's time. A line that is stuck in a driver or on a device is therefore killed and started again by the
    service manager, at the latest one and a half times the watchdog's time after its last turn, though this thread
    still runs. A line whose cameras are lost makes turns, and is left alone: it opens them again by itself.

    READY=1 is told once the engines are warm and the line has made its first turn. It does not wait for the cameras: a
    service whose camera is switched off is a service that waits, not one that fails.

    Args:
        manager: Whom to tell; where nobody listens, there is no thread.
        snapshot: Gives the state of the line; called in the thread. It must not wait.
    """

    def __init__(self, manager: ServiceManager, snapshot: Callable[[], LineSnapshot]) -> None:
        self._manager = manager
        self._snapshot = snapshot
        self._leaving = threading.Event()
        self._is_ready = False
        self._told = ""
        # A daemon: it must not keep the process from ending.
        self._thread = threading.Thread(target=self._watch, name="service watch", daemon=True)

    def __enter__(self) -> ServiceWatch:
        if self._manager.address is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self._manager.address is not None:
            self._thread.join(_LEAVE_S)
            self._manager.stopping()

    def tick(self) -> None:
        """Look at the line once, and tell what there is to tell."""
        line, now_s = self._snapshot(), time.monotonic()
        if not self._is_ready and line.is_warm and line.last_turn_monotonic_s is not None:
            self._is_ready = True
            self._manager.ready()
        watchdog_s = self._manager.watchdog_s
        if watchdog_s is not None and self._is_ready and not line.has_stalled(now_s, watchdog_s / 2):
            self._manager.still_alive()
        status = status_text(line, now_s)
        if status != self._told:
            self._told = status
            self._manager.status(status)

    def _watch(self) -> None:
        while not self._leaving.wait(self._pause_s()):
            self.tick()

    def _pause_s(self) -> float:
        """Seconds to the next look; a quarter of the watchdog's time, so that one look too early costs no restart."""
        if not self._is_ready:
            return _STARTING_TICK_S
        return TICK_S if self._manager.watchdog_s is None else self._manager.watchdog_s / 4


def status_text(line: LineSnapshot, now_monotonic_s: float) -> str:
    """The line in one line of text: what it has counted, and what is wrong or what it waits for.

    Args:
        line: Now.
        now_monotonic_s: Now, on `time.monotonic()`'s clock.
    """
    cameras = line.cameras
    counted = (
        f"{sum(camera.frames for camera in cameras)} frames, {sum(camera.ng for camera in cameras)} NG, "
        f"{sum(camera.alerts for camera in cameras)} alerts"
    )
    n_running = sum(camera.state is CameraState.RUNNING for camera in cameras)
    parts = [f"{n_running} of {len(cameras)} cameras running", counted]
    reasons = line.unhealthy(now_monotonic_s) or line.not_ready()
    return "; ".join([*parts, *(without_secrets(reason) for reason in reasons)])
