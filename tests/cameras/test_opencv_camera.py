"""Cameras of this machine: none is there, and a driver in place of OpenCV's."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from damaged import jpeg, noisy_pictures, outcomes

from edgerd.cameras import camera_kind
from edgerd.cameras.opencv import DeviceCamera
from edgerd.errors import CameraError
from edgerd.types import UInt8Array


def test_device_that_is_not_there_says_what_to_check(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CameraError, match="Camera 93 does not open") as caught:
        DeviceCamera("93")
    assert "/dev/video" in str(caught.value)
    assert capfd.readouterr().err == ""


class Driver:
    """In place of `cv2.VideoCapture`: gives what it is given, undecoded or not, and takes what is set but `fixed`."""

    def __init__(
        self, code: str, received: list[UInt8Array | None], fixed: dict[int, float] | None = None, age_s: float = 0.0
    ) -> None:
        self._received = iter(received)
        self._fixed = fixed or {}
        self._age_s = age_s
        self.settings: dict[int, float] = {cv2.CAP_PROP_FOURCC: int.from_bytes(code.encode(), "little")}
        self.n_released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, property_id: int) -> float:
        if property_id == cv2.CAP_PROP_POS_MSEC:
            return 1000 * (time.monotonic() - self._age_s)
        return self._fixed.get(property_id, self.settings.get(property_id, 0.0))

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


def connected(monkeypatch: pytest.MonkeyPatch, driver: Driver, uri: str) -> DeviceCamera:
    opened: list[tuple[object, ...]] = []
    monkeypatch.setattr("cv2.VideoCapture", lambda *args: opened.append(args) or driver)
    camera = DeviceCamera(uri, timeout_s=0.1)
    assert opened[0][0] in (3, "/dev/video3")
    return camera


@pytest.mark.parametrize("address", ["3", "device://3", "/dev/video3"])
def test_what_the_uri_asks_for_is_set(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    driver = Driver("YUYV", noisy_pictures(1), {cv2.CAP_PROP_FPS: 29.97})
    uri = f"{address}?width=1920&height=1080&fps=30&format=MJPG&exposure_us=500&buffers=3"
    assert camera_kind(uri) == "device"
    connected(monkeypatch, driver, uri)
    assert driver.settings == {
        cv2.CAP_PROP_BUFFERSIZE: 3,
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1920,
        cv2.CAP_PROP_FRAME_HEIGHT: 1080,
        cv2.CAP_PROP_FPS: 30,
        cv2.CAP_PROP_AUTO_EXPOSURE: 1,
        cv2.CAP_PROP_EXPOSURE: 5,
        cv2.CAP_PROP_CONVERT_RGB: 0,
    }


def test_what_the_driver_does_not_take_is_an_error_that_names_what_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = {
        cv2.CAP_PROP_FRAME_WIDTH: 640.0,
        cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
        cv2.CAP_PROP_FPS: 15.0,
        cv2.CAP_PROP_FOURCC: float(int.from_bytes(b"YUYV", "little")),
        cv2.CAP_PROP_EXPOSURE: 10.0,
    }
    driver = Driver("YUYV", [], fixed)
    with pytest.raises(CameraError) as caught:
        connected(monkeypatch, driver, "3?width=1920&height=480&fps=30&format=MJPG&exposure_us=500")
    assert "does not take width=1920, fps=30.0, format=MJPG, exposure_us=500." in str(caught.value)
    assert "gives instead: width=640, fps=15, format=YUYV, exposure_us=1000" in str(caught.value)
    assert caught.value.exit_code == 4
    assert driver.n_released == 1


def test_a_frame_is_as_old_as_the_driver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before, before_s = time.time(), time.monotonic()
    frame = connected(monkeypatch, Driver("YUYV", noisy_pictures(1), age_s=0.5), "3").read()
    assert before - 0.5 <= frame.captured_at < before - 0.4
    assert before_s - 0.5 <= frame.captured_monotonic_s < before_s - 0.4
