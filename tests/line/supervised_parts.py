"""Cameras that are lost, hang or do not open, for the tests of supervision."""

from __future__ import annotations

import threading

import numpy as np

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import Camera
from edgerd.errors import CameraError
from edgerd.line.supervised import SupervisedCamera
from edgerd.types import Frame, UInt8Array

URI = "rtsp://admin:secret@10.0.0.3/live"
LOST = CameraError("The cable was pulled.")


def picture(value: int = 0) -> UInt8Array:
    return np.full((4, 6, 3), value, np.uint8)


class Shop:
    """Opens one camera after the other: each entry is a camera, or an error in its place; then cameras that block."""

    def __init__(self, *cameras: Camera | Exception) -> None:
        self.n_opened = 0
        self._cameras = iter(cameras)

    def __call__(self) -> Camera:
        self.n_opened += 1
        camera = next(self._cameras, None) or FakeCamera([], live=True, stall=True)
        if isinstance(camera, Exception):
            raise camera
        return camera


def fake(*script: UInt8Array | Frame | Exception, stall: bool = False) -> FakeCamera:
    return FakeCamera(script, live=True, stall=stall)


def supervise(*cameras: Camera | Exception, silence_s: float = 5.0) -> SupervisedCamera:
    return SupervisedCamera(Shop(*cameras), URI, silence_s=silence_s)


def read_in_a_thread(camera: Camera) -> tuple[threading.Thread, list[Frame | None]]:
    outcome: list[Frame | None] = []
    thread = threading.Thread(target=lambda: outcome.append(camera.read()))
    thread.start()
    return thread, outcome
