"""Whatever moment `close` comes at, the device is released once, and never while it is read."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import cv2
import pytest
from damaged import noisy_pictures, write_mjpeg_avi

from edgerd.cameras.closing import Handle
from edgerd.cameras.ffmpeg import VideoFile
from edgerd.cameras.opencv import DeviceCamera


def run_and_close_at_line(work: Callable[[], object], close: Callable[[], None], n: int) -> bool:
    """Run `work`, and when it comes to the n-th line of edgerd, close from another thread; whether it came so far."""
    n_lines = 0

    def on_line(frame: FrameType, event: str, _: object):
        nonlocal n_lines
        if "/edgerd/cameras/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            n_lines += 1
            if n_lines == n:
                closer = threading.Thread(target=close)
                closer.start()
                closer.join()
        return on_line

    before = sys.gettrace()
    sys.settrace(on_line)
    try:
        work()
    finally:
        sys.settrace(before)
    return n_lines >= n


def read_and_close_at_line(n: int) -> bool:
    in_use = False
    released: list[bool] = []
    handle = Handle(lambda: released.append(in_use))

    def read() -> None:
        nonlocal in_use
        with handle.reading():
            in_use = not handle.closed.is_set()
            in_use = False

    came_so_far = run_and_close_at_line(read, handle.close, n)
    handle.close()
    assert released == [False], f"closed at line {n}"
    return came_so_far


def test_a_handle_is_released_once_whenever_it_is_closed() -> None:
    n = 1
    while read_and_close_at_line(n):
        n += 1
    assert n > 5


class Driver:
    def __init__(self) -> None:
        self.n_released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, property_id: int) -> float:
        return 0.0

    def set(self, property_id: int, value: float) -> bool:
        return True

    def grab(self) -> bool:
        return True

    def retrieve(self, buffer: object) -> tuple[bool, object]:
        return True, noisy_pictures(1)[0]

    def release(self) -> None:
        self.n_released += 1


def test_a_device_that_is_closed_during_a_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 1
    while True:
        driver = Driver()
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_, driver=driver: driver)
        camera = DeviceCamera("0")
        if not run_and_close_at_line(camera.read, camera.close, n):
            break
        assert driver.n_released == 1, f"closed at line {n} of a read"
        n += 1
    assert n > 10


def test_a_video_that_is_closed_during_a_read_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "line.avi"
    write_mjpeg_avi(path, 2)
    n = 1
    while True:
        camera = VideoFile(str(path))
        if not run_and_close_at_line(camera.read, camera.close, n):
            break
        with pytest.raises(AssertionError):  # PyAV: the container is closed
            next(iter(camera._container.demux(video=0)))
        n += 1
    assert n > 10
