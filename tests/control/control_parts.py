"""A line of cameras that are triggered in different ways, and verdicts for their parts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from edgerd.control import Commands
from edgerd.control.fake import FakeCamera, FakeLine
from edgerd.control.server import ControlServer
from edgerd.events import FrameVerdict
from edgerd.triggers import Trigger
from edgerd.types import Inspection, Verdict

TOKEN = "correct horse battery staple"


def line() -> FakeLine:
    """`left` is triggered over HTTP, `right` over MQTT, and `above` runs freely."""
    return FakeLine(
        {
            "left": FakeCamera("http", {"bottle": 1, "can": 2, "jar": None}),
            "right": FakeCamera("mqtt", {"bottle": 7, "7": 8}),
            "above": FakeCamera("free", {"default": None}),
        }
    )


def verdict(trigger: Trigger, found: Verdict = Verdict.OK, score: float | None = 0.25) -> FrameVerdict:
    reason = "" if score is not None else "no frame within 1000 ms of the trigger"
    inspection = Inspection(found, score, 0.5, reason=reason)
    now = time.time()
    return FrameVerdict(inspection, trigger.camera, 3, "cam", now, now, "bundle-1", trigger.id, "bottle")


def judged_at_once(watched: FakeLine) -> Commands:
    """Commands for a line that gives each part its verdict while its trigger is being fired."""
    commands = Commands(watched)
    for camera in watched.cameras.values():
        camera.on_fire = lambda trigger: commands.publish(verdict(trigger), trigger)
    return commands


def until(is_so: Callable[[], object]) -> None:
    """Wait for something that happens in another thread."""
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(
    control: ControlServer, method: str, path: str, body: bytes | str | None = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    address = urlsplit(control.url)
    assert address.hostname
    with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.getheader("content-type") == "application/json"
        return response.status, json.loads(response.read())
