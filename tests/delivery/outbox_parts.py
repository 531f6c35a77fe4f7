"""Events and outboxes for the tests of this folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgerd.delivery import Outbox
from edgerd.events import Alert, CameraEvent, uuid7


def alert(frame: int = 0, camera: str = "a", state: str = "raised") -> Alert:
    return Alert(uuid7(), state, camera, frame, camera, 1.5, 2.5, score=0.75, threshold=0.5)


def camera_event(camera: str = "a", reason: str = "It is silent.") -> CameraEvent:
    return CameraEvent(uuid7(), "lost", camera, reason, 2.5, "b")


def opened(
    folder: Path,
    sinks: Sequence[str] = ("s",),
    *,
    warnings: list[str] | None = None,
    make_room: Callable[[], bool] = lambda: False,
    retention_s: float = 3600.0,
) -> Outbox:
    """An outbox whose warnings are collected; without a list for them there must be none."""

    def warn(text: str) -> None:
        assert warnings is not None, text
        warnings.append(text)

    return Outbox.open(folder, sinks, on_warning=warn, make_room=make_room, retention_s=retention_s)


def frames_for(outbox: Outbox, sink: str = "s") -> list[int]:
    return [stored.event["frame"] for stored in outbox.take(sink, 1000)]


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.005)
