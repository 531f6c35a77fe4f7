"""Cameras of this machine: none is there, and a driver in place of OpenCV's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from damaged import jpeg, noisy_pictures, outcomes

from edgerd.cameras.opencv import DeviceCamera
from edgerd.errors import CameraError
from edgerd.types import UInt8Array


def test_device_that_is_not_there_says_what_to_check(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CameraError, match="Camera 93 does not open") as caught:
        DeviceCamera("93")
    assert "/dev/video" in str(caught.value)
    assert capfd.readouterr().err == ""


class Driver:
    """In place of `cv2.VideoCapture`: gives what it is given, undecoded or not."""

    def __init__(self, code: str, received: list[UInt8Array | None]) -> None:
        self._code = code
        self._received = iter(received)
        self.settings: dict[int, float] = {}
        self.n_released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, property_id: int) -> float:
        return int.from_bytes(self._code.encode(), "little") if property_id == cv2.CAP_PROP_FOURCC else 0.0

    def set(self, property_id: int, value: float) -> bool:
        self.settings[property_id] = value
        return True

    def grab(self) -> bool:
        self._next = next(self._received, "end")
        return not isinstance(self._next, str)

    def retrieve(self, buffer: UInt8Array | None) -> tuple[bool, UInt8Array | None]:
        return self._next is not None, self._next

    def release(self) -> None:
        self.n_released += 1


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[UInt8Array | None]], DeviceCamera]:
    def connect(code: str, received: list[UInt8Array | None]) -> DeviceCamera:
        monkeypatch.setattr("cv2.VideoCapture", lambda *_: Driver(code, received))
        return DeviceCamera("0", timeout_s=0.1)

    return connect


def test_a_jpeg_that_came_in_part_over_usb_is_damaged(device) -> None:
    bodies = [jpeg(picture) for picture in noisy_pictures(3)]
    received = [np.frombuffer(body, np.uint8)[None] for body in (bodies[0], bodies[1][:-700], bodies[2])]
    camera = device("MJPG", received)
    assert outcomes(camera) == ["frame", "damaged", "frame", "lost"]
    assert camera._capture.settings[cv2.CAP_PROP_CONVERT_RGB] == 0


def test_a_jpeg_over_usb_is_decoded_into_the_memory_that_is_given(device) -> None:
    (picture,) = noisy_pictures(1)
    buffer = np.zeros_like(picture)
    frame = device("MJPG", [np.frombuffer(jpeg(picture), np.uint8)]).read_into(buffer)
    assert frame.data is buffer
    # FFmpeg's decoder makes the colours of neighbouring pixels another way than OpenCV's.
    expected = cv2.imdecode(np.frombuffer(jpeg(picture), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.abs(cv2.cvtColor(buffer, cv2.COLOR_BGR2GRAY).astype(int) - expected).mean() < 1


def test_a_frame_that_a_driver_cannot_decode_is_damaged(device) -> None:
    (picture,) = noisy_pictures(1)
    camera = device("YUYV", [picture, None, picture])
    assert outcomes(camera) == ["frame", "damaged", "frame", "lost"]
    assert cv2.CAP_PROP_CONVERT_RGB not in camera._capture.settings
