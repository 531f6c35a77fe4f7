"""Drivers that hang while they open, read or close a camera, and a supervised camera that is closed at any moment."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest
from supervised_parts import LOST, URI, Shop, fake, picture, read_in_a_thread, supervise

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import Camera, FillingCamera
from edgerd.errors import CameraError
from edgerd.line import supervised
from edgerd.line.supervised import MAX_ABANDONED, SupervisedCamera
from edgerd.types import Frame, UInt8Array


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervised, "FIRST_PAUSE_S", 0.001)
        patch.setattr(supervised, "MAX_PAUSE_S", 0.001)
        yield


def test_a_silent_camera_is_left_closed_and_opened_again() -> None:
    silent = fake(picture(1), stall=True)
    camera = supervise(silent, fake(picture(2)), silence_s=0.1)
    camera.read()
    with pytest.raises(CameraError, match=r"no frame for 0.1 s"):
        camera.read()
    assert silent.closed.wait(5)
    assert camera.read().data.max() == 2


class StuckCamera(FakeCamera):
    """Its driver does not return from a read, not even when closed; in the end it writes to the memory it was given."""

    def __init__(self) -> None:
        super().__init__([], live=True)
        self.come_to = threading.Event()
        self.has_written = threading.Event()

    def read(self) -> Frame | None:
        return self.read_into(picture())

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        self.come_to.wait(20)
        buffer[...] = 99
        self.has_written.set()
        return Frame(data=buffer)


def test_a_driver_that_hangs_is_lent_no_memory_of_its_reader_and_its_late_frame_is_thrown_away() -> None:
    stuck = StuckCamera()
    assert isinstance(stuck, FillingCamera)
    camera = SupervisedCamera(Shop(stuck, fake(picture(2))), URI, open_timeout_s=0.1)
    assert not isinstance(camera, FillingCamera)
    with pytest.raises(CameraError, match="no frame"):
        camera.read()
    stuck.come_to.set()
    assert stuck.has_written.wait(5)
    assert camera.read().data.max() == 2
    assert stuck.closed.wait(5)


def test_a_driver_that_hangs_while_it_opens_is_left_and_its_camera_closed_when_it_comes() -> None:
    come_to = threading.Event()
    late = fake(picture(1))
    cameras = iter([late, fake(picture(2))])

    def open_camera() -> Camera:
        camera = next(cameras)
        if camera is late:
            come_to.wait(20)
        return camera

    camera = SupervisedCamera(open_camera, URI, open_timeout_s=0.1)
    with pytest.raises(CameraError, match=r"not opened within 0.1 s"):
        camera.read()
    assert camera.read().data.max() == 2
    come_to.set()
    assert late.closed.wait(5)


def test_a_driver_that_hangs_every_time_gets_no_more_threads_than_the_limit_until_they_return() -> None:
    come_to = threading.Event()
    n_opened = 0

    def open_camera() -> Camera:
        nonlocal n_opened
        n_opened += 1
        come_to.wait(20)
        return fake(picture())

    camera = SupervisedCamera(open_camera, URI, open_timeout_s=0.01)
    with pytest.raises(CameraError, match="not opened within"):
        camera.read()
    with pytest.raises(CameraError, match=f"hangs: {MAX_ABANDONED} threads") as caught:
        camera.read()
    assert "restart edgerd" in str(caught.value)
    assert n_opened == MAX_ABANDONED
    come_to.set()
    assert camera.read() is not None


@pytest.mark.parametrize("hangs_in", ["open", "read", "pause"])
def test_close_wakes_a_read_that_waits_and_does_not_wait_itself(hangs_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, never = threading.Event(), threading.Event()

    class Camera(FakeCamera):
        def read(self) -> Frame | None:
            reached.set()
            never.wait(20)
            return None

        def close(self) -> None:
            never.wait(20)

    def open_camera() -> Camera:
        if hangs_in == "open":
            reached.set()
            never.wait(20)
        if hangs_in == "pause":
            reached.set()
            raise LOST
        return Camera([])

    camera = SupervisedCamera(open_camera, URI, silence_s=20)
    if hangs_in == "pause":
        monkeypatch.setattr(supervised.random, "uniform", lambda *_: 20_000.0)
        with pytest.raises(CameraError):
            camera.read()
    thread, outcome = read_in_a_thread(camera)
    assert reached.wait(5)
    camera.close()
    camera.close()
    thread.join(5)
    never.set()
    assert outcome == [None]
    assert camera.read() is None


def read_and_close_at_line(n: int) -> bool:
    """Read a camera that is lost once, and close it when the reader comes to the n-th line; whether it came so far."""
    cameras = [fake(picture(), LOST), fake(picture(), LOST), fake(picture(), picture())]
    shop = Shop(*cameras)
    camera = SupervisedCamera(shop, URI)
    n_lines = 0

    def on_line(frame: FrameType, event: str, _: object):
        nonlocal n_lines
        if not frame.f_code.co_filename.endswith(("edgerd/line/supervised.py", "edgerd/line/connection.py")):
            return None
        n_lines += event == "line"
        if event == "line" and n_lines == n:
            camera.close()
        return on_line

    before = sys.gettrace()
    sys.settrace(on_line)
    try:
        for _ in range(5):
            with contextlib.suppress(CameraError):
                camera.read()
    finally:
        sys.settrace(before)
    came_so_far = n_lines >= n
    if came_so_far:
        assert camera.read() is None, f"closed at line {n}"
    camera.close()
    for opened in cameras[: shop.n_opened]:
        assert opened.closed.wait(5), f"closed at line {n}, and a device is left open"
    return came_so_far


def test_whenever_it_is_closed_no_read_hangs_and_no_device_is_left_open() -> None:
    n = 1
    while read_and_close_at_line(n):
        n += 1
    assert n > 50
