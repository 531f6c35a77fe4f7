"""Industrial cameras, with a program of ours in place of the helper that talks to Aravis."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from damaged import outcomes

from edgerd.cameras import genicam, genicam_helper, genicam_process, open_camera
from edgerd.cameras.genicam import PIXEL_FORMATS, GenicamCamera
from edgerd.cameras.protocol import FillingCamera, ReopeningCamera, TriggeredCamera
from edgerd.errors import CameraError, InputError, MissingDependencyError
from edgerd.types import PixelFormat, UInt8Array

FAKE = f"""
import json, os, struct, sys, time
sys.path.insert(0, {str(Path(genicam_helper.__file__).parent)!r})
from genicam_helper import ALIVE, DAMAGED, ERROR, FRAME, HEADER, OPENED
def send(kind, payload=b"", height=0, width=0, camera_at=0.0):
    record = HEADER.pack(kind, len(payload), height, width, camera_at, time.time()) + payload
    while record:
        record = record[os.write(1, record):]
request = json.loads(sys.argv[1])
def opened(pixel_format="Mono8", address="", serial=""):
    send(OPENED, json.dumps({{"pixel_format": pixel_format, "address": address, "serial": serial}}).encode())
def picture(value=0, height=4, width=6, camera_at=0.0):
    send(FRAME, bytes([value]) * (height * width), height, width, camera_at)
def error(what, is_missing=False):
    send(ERROR, json.dumps({{"what": what, "expected": "", "hint": "Do it.", "is_missing": is_missing}}).encode())
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`helper(program)` is what a camera's process does from now on."""
    file = tmp_path / "helper.py"
    monkeypatch.setattr(genicam_process.genicam_helper, "__file__", str(file))
    monkeypatch.setattr(genicam_process, "_python", lambda: sys.executable)
    return lambda program: file.write_text(FAKE + program) and None


@pytest.fixture
def connect(helper) -> Iterator[Callable[..., GenicamCamera]]:
    """`connect(program, options)` opens a camera whose process does that, and closes it in the end."""
    with contextlib.ExitStack() as stack:

        def connect(program: str, options: str = "", timeout_s: float = 5.0) -> GenicamCamera:
            helper(program)
            camera = GenicamCamera(f"genicam://CAM1{options}", timeout_s)
            stack.callback(camera.close)
            return camera

        yield connect


def test_frames_come_numbered_and_timed_until_it_is_closed(connect) -> None:
    camera = connect("opened()\nfor i in range(3): picture(i, camera_at=time.time() - 0.25)\nsys.stdin.read()")
    assert isinstance(camera, FillingCamera)
    assert isinstance(camera, TriggeredCamera)
    assert not camera.triggered
    now = time.time()
    frames = [camera.read() for _ in range(3)]
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert [frame.data.max() for frame in frames] == [0, 1, 2]
    assert {(frame.data.shape, frame.pixel_format) for frame in frames} == {((4, 6), PixelFormat.GREY)}
    assert all(now - 5 < frame.captured_at < now - 0.2 for frame in frames)
    camera.close()
    assert camera.read() is None


def test_a_frame_is_read_into_memory_that_fits(connect) -> None:
    camera = connect("opened()\npicture(1)\npicture(2)\nsys.stdin.read()")
    buffer, small = np.zeros((4, 6), np.uint8), np.zeros((2, 2), np.uint8)
    assert camera.read_into(buffer).data is buffer
    assert (buffer == 1).all()
    assert camera.read_into(small).data.shape == (4, 6)


def mosaic(bgr: UInt8Array, pattern: str) -> UInt8Array:
    """What a sensor sees behind a colour filter, whose first two rows are the pattern's two halves."""
    raw = np.empty(bgr.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        row, column = divmod(place, 2)
        raw[row::2, column::2] = bgr[row::2, column::2, "BGR".index(colour)]
    return raw


@pytest.mark.parametrize(
    ("name", "pattern"), [("BayerRG8", "RGGB"), ("BayerGR8", "GRBG"), ("BayerBG8", "BGGR"), ("BayerGB8", "GBRG")]
)
def test_colours_of_a_mosaic_are_those_of_the_part(connect, tmp_path: Path, name: str, pattern: str) -> None:
    part = np.full((8, 12, 3), (200, 100, 30), np.uint8)
    raw = tmp_path / "raw"
    raw.write_bytes(mosaic(part, pattern).tobytes())
    camera = connect(f"opened({name!r})\nfor _ in range(2): send(FRAME, open({str(raw)!r}, 'rb').read(), 8, 12)")
    frame = camera.read()
    assert frame.pixel_format is PixelFormat.BGR
    assert np.array_equal(frame.data[2:-2, 2:-2], part[2:-2, 2:-2])
    buffer = np.zeros((8, 12, 3), np.uint8)
    assert camera.read_into(buffer).data is buffer
    assert np.array_equal(buffer, frame.data)


@pytest.mark.parametrize(("name", "first"), [("RGB8", 30), ("BGR8", 200)])
def test_colours_come_in_the_order_bgr(connect, name: str, first: int) -> None:
    camera = connect(f"opened({name!r})\nsend(FRAME, bytes([{first}, 100, {230 - first}]) * 24, 4, 6)")
    assert np.array_equal(camera.read().data, np.full((4, 6, 3), (200, 100, 30), np.uint8))


def test_what_is_not_whole_is_damaged_and_a_camera_that_is_gone_is_lost(connect) -> None:
    camera = connect(
        "opened()\npicture()\nsend(DAMAGED, b'it arrived incomplete (missing-packets)')\n"
        "send(FRAME, bytes(20), 4, 6)\npicture()\nerror('the camera no longer answers')"
    )
    assert outcomes(camera) == ["frame", "damaged", "damaged", "frame", "lost"]


@pytest.mark.parametrize(
    "end", ["sys.exit(1)", "os.kill(os.getpid(), 9)", "os.write(1, HEADER.pack(FRAME, 24, 4, 6, 0, 0))"]
)
def test_a_helper_that_ends_is_a_lost_camera(connect, end: str) -> None:
    camera = connect(f"opened()\npicture()\n{end}")
    camera.read()
    with pytest.raises(CameraError, match="was lost after 1 frames: the process that reads it has ended"):
        camera.read()


def test_a_camera_that_cannot_be_opened_says_why(helper) -> None:
    helper("error('there is no camera CAM1')")
    with pytest.raises(CameraError, match="genicam://CAM1: there is no camera CAM1") as caught:
        open_camera("genicam://CAM1")
    assert "Next: Do it." in str(caught.value)
    helper("error('Aravis is not there', is_missing=True)")
    with pytest.raises(MissingDependencyError):
        open_camera("genicam://CAM1")
    helper("sys.exit(1)")
    with pytest.raises(CameraError, match="the process that reads it has ended"):
        open_camera("genicam://CAM1")


ALIVE_ONLY = "opened()\nwhile True:\n    send(ALIVE)\n    time.sleep(0.05)"


def test_a_camera_that_runs_freely_is_silent_though_it_answers(connect) -> None:
    camera = connect(ALIVE_ONLY, timeout_s=0.3)
    with pytest.raises(CameraError, match=r"no frame for 0\.3 s"):
        camera.read()


def test_a_helper_that_hangs_is_a_silent_camera_though_it_waits_for_a_trigger(connect) -> None:
    camera = connect("opened()\nsys.stdin.read()", "?trigger=Line1", timeout_s=0.3)
    with pytest.raises(CameraError, match=r"no frame for 0\.3 s"):
        camera.read()


def test_the_rest_of_a_frame_that_came_in_part_is_not_taken_for_another(connect) -> None:
    late = (
        "opened()\nos.write(1, HEADER.pack(FRAME, 24, 4, 6, 0, 0) + bytes(9))\ntime.sleep(0.6)\nos.write(1, bytes(15))"
    )
    camera = connect(late, timeout_s=0.3)
    for reason in ("no frame", "was lost"):
        with pytest.raises(CameraError, match=reason):
            camera.read()


@pytest.mark.parametrize("options", ["", "?trigger=Line1"])
def test_close_from_another_thread_ends_a_read(connect, options: str) -> None:
    camera = connect(ALIVE_ONLY, options, timeout_s=20)
    outcome: list[object] = []
    reader = threading.Thread(target=lambda: outcome.append(camera.read()))
    reader.start()
    time.sleep(0.2)
    camera.close()
    reader.join(5)
    assert outcome == [None]


def test_a_software_trigger_takes_a_picture(connect) -> None:
    program = "opened()\nfor number, line in enumerate(sys.stdin): picture(number + 1) if line == 'trigger\\n' else 0"
    camera = connect(program, "?trigger=Software")
    assert camera.triggered
    for number in (1, 2):
        camera.trigger()
        assert camera.read().data.max() == number
    camera.close()
    camera.trigger()  # too late, and harmless


@pytest.mark.parametrize("options", ["", "?trigger=Line1"])
def test_a_camera_without_software_trigger_says_so(connect, options: str) -> None:
    camera = connect("opened()\nsys.stdin.read()", options)
    with pytest.raises(CameraError, match="takes no software trigger"):
        camera.trigger()


def test_the_helper_is_asked_for_what_the_uri_says(helper) -> None:
    helper("error(json.dumps(request, sort_keys=True))")
    with pytest.raises(CameraError) as caught:
        open_camera("genicam://Basler-23%2F4?exposure_us=500&gain=1.5&pixel_format=Mono8&trigger=Line1&width=640")
    for part in ('"Basler-23/4"', '"exposure_us": 500.0', '"gain": 1.5', '"trigger": "Line1"', '"width": 640'):
        assert part in str(caught.value)
    assert all(f'"{name}"' in str(caught.value) for name in PIXEL_FORMATS)


ASKED = "error(json.dumps([request['name'], request['place']]))"


def test_it_is_opened_again_where_it_was_and_searched_for_now_and_then(connect, helper, monkeypatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(genicam, "time", SimpleNamespace(monotonic=lambda: now_s))
    camera = connect("opened(address='10.0.0.5', serial='CAM1')\nsys.exit()")
    assert isinstance(camera, ReopeningCamera)
    helper(ASKED)
    is_sure = []
    for seconds in (0.0, 9.0, 2.0, 9.0, 2.0):
        now_s += seconds
        with pytest.raises(CameraError) as caught:
            camera.reopen()
        name, place = json.loads(caught.value.what.partition(": ")[2].rstrip("."))
        assert (name, place["address"], place["serial"]) == ("CAM1", "10.0.0.5", "CAM1")
        is_sure.append(place["is_sure"])
    assert is_sure == [True, True, False, True, False]
    helper("opened(address='10.0.0.7', serial='CAM1')\npicture(3)\nsys.stdin.read()")
    again = camera.reopen()
    assert again.read().data.max() == 3
    again.close()


def test_a_camera_without_an_address_is_opened_again_as_it_was_the_first_time(connect, helper) -> None:
    camera = connect("opened()\nsys.exit()", "?exposure_us=500")
    helper(ASKED)
    with pytest.raises(CameraError, match=r'\["CAM1", null\]'):
        camera.reopen()


@pytest.mark.parametrize("options", ["exposure=500", "exposure_us=-1", "gain=nan", "width=0", "trigger="])
def test_options_that_mean_nothing_are_refused_before_a_camera_is_looked_for(options: str) -> None:
    with pytest.raises(InputError):
        open_camera(f"genicam://CAM1?{options}")


def test_without_a_python_of_the_system_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genicam_process, "_SYSTEM_PROGRAMS", "/nowhere")
    monkeypatch.setattr(genicam_process.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="industrial cameras") as caught:
        open_camera("genicam://CAM1")
    assert "gir1.2-aravis-0.8" in str(caught.value)
    assert caught.value.exit_code == 6
