"""A camera of this machine in a process of its own, with a driver in place of OpenCV's."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from damaged import outcomes

from edgerd.cameras import device_process, open_camera
from edgerd.cameras.device_process import DeviceProcessCamera
from edgerd.cameras.protocol import FillingCamera, UnreadablePictureError
from edgerd.errors import CameraError, InputError
from edgerd.line.supervised import SupervisedCamera

PROCESS = """
import os, sys, time
import cv2, numpy as np
class Driver:
    values = iter({values!r})
    def isOpened(self):
        return {opens!r}
    def get(self, _):
        return 0.0
    def set(self, *_):
        return True
    def grab(self):
        self.value = next(self.values, None)
        if self.value is None:
            time.sleep(60)
        if self.value == "crash":
            os._exit(1)
        return True
    def retrieve(self, buffer):
        if self.value == "damaged":
            return False, None
        picture = np.full((8 * (1 + (self.value > 99)), 12, 3), self.value, np.uint8)
        if buffer is None or buffer.shape != picture.shape:
            return True, picture
        buffer[...] = picture
        return True, buffer
    def release(self):
        pass
cv2.VideoCapture = lambda *_: Driver()
from edgerd.cameras.device_process import main
main()
"""


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DeviceProcessCamera]]:
    """`connect(values)` is a camera that gives these grey levels, is damaged, or crashes, and then hangs."""
    cameras = []
    program = tmp_path / "program.py"
    monkeypatch.setattr(device_process, "_command", lambda uri, fd: [sys.executable, str(program), uri, str(fd)])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def connect(values: list[int | str], opens: bool = True, timeout_s: float = 5.0) -> DeviceProcessCamera:
        program.write_text(PROCESS.format(values=values, opens=opens))
        cameras.append(DeviceProcessCamera("/dev/video0?process=1", timeout_s))
        return cameras[-1]

    yield connect
    for camera in cameras:
        camera.close()


def test_each_read_has_its_outcome_and_frames_stay_as_they_are(connect) -> None:
    camera = connect([1, 2, "damaged", 100, 3])
    before = time.time()
    first, second = camera.read(), camera.read()
    with pytest.raises(UnreadablePictureError) as damaged:
        camera.read()
    large, small = camera.read(), camera.read()
    frames = [first, second, damaged.value.frame, large, small]
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert before <= first.captured_at <= second.captured_at <= time.time()
    assert [frame.data.shape for frame in frames] == [(8, 12, 3), (8, 12, 3), (0, 0, 3), (16, 12, 3), (8, 12, 3)]
    assert [np.unique(frame.data).tolist() for frame in (first, second, large, small)] == [[1], [2], [100], [3]]


def test_a_frame_is_copied_to_memory_that_fits(connect) -> None:
    camera = connect([1, 2])
    assert isinstance(camera, FillingCamera)
    buffer, small = np.zeros((8, 12, 3), np.uint8), np.zeros((2, 2), np.uint8)
    assert camera.read_into(buffer).data is buffer
    assert (buffer == 1).all()
    assert camera.read_into(small).data.max() == 2


def test_a_process_that_crashes_is_a_lost_camera(connect) -> None:
    assert outcomes(connect([1, 2, "crash"])) == ["frame", "frame", "lost"]


def test_a_camera_that_does_not_open_says_so_as_without_a_process(connect) -> None:
    with pytest.raises(CameraError, match="Camera /dev/video0 does not open") as caught:
        connect([], opens=False)
    assert "ls -l /dev/video" in str(caught.value)


def test_the_real_process_says_that_there_is_no_such_camera() -> None:
    with pytest.raises(CameraError, match="Camera /dev/video93 does not open"):
        open_camera("/dev/video93?process=1")


def test_wrong_options_are_refused_before_a_process_is_started() -> None:
    with pytest.raises(InputError, match="process"):
        open_camera("/dev/video93?process=maybe")


def test_a_driver_that_hangs_is_a_silent_camera_and_its_process_is_killed(connect) -> None:
    camera = connect([1], timeout_s=0.3)
    camera.read()
    with pytest.raises(CameraError, match=r"no frame for 0\.3 s"):
        camera.read()
    assert camera._process.wait(5) == -9
    with pytest.raises(CameraError, match="was lost after 1 frames"):
        camera.read()
    camera.close()
    assert camera.read() is None


def test_close_from_another_thread_ends_a_read(connect) -> None:
    camera = connect([], timeout_s=20)
    outcome: list[object] = []
    reader = threading.Thread(target=lambda: outcome.append(camera.read()))
    reader.start()
    time.sleep(0.2)
    camera.close()
    reader.join(5)
    assert outcome == [None]


def test_a_driver_that_hangs_comes_back_under_supervision_with_no_process_left(connect) -> None:
    opened: list[DeviceProcessCamera] = []

    def open_it() -> DeviceProcessCamera:
        opened.append(connect([1, 2]))
        return opened[-1]

    camera = SupervisedCamera(open_it, "/dev/video0?process=1", silence_s=0.3)
    numbers = [camera.read().number, camera.read().number]
    with pytest.raises(CameraError, match="no frame"):
        camera.read()
    numbers.append(camera.read().number)
    assert numbers == [0, 1, 2]
    assert opened[0]._process.wait(5) == -9
    camera.close()
