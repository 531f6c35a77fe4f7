"""Real camera servers that are killed and started again, read under supervision."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from services import CameraServer, genicam_server, mjpeg_server, rtsp_server, switched_on

from benchmarks.rig.camera_servers import GENICAM_SERIAL
from edgerd.cameras import open_camera
from edgerd.cameras.genicam import GenicamCamera
from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import CameraError
from edgerd.line.supervised import SupervisedCamera, open_supervised
from edgerd.types import Frame

NEED_A_SERVICE = ("rtsp", "genicam", "genicam by its serial number")
SERVERS = ["http", *(pytest.param(kind, marks=pytest.mark.service) for kind in NEED_A_SERVICE)]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CameraServer]:
    if request.param.startswith("genicam"):
        with genicam_server() as server, switched_on(server):
            if "serial" in request.param:
                server.uri = f"genicam://{GENICAM_SERIAL}"
            yield server
    else:
        with switched_on(mjpeg_server(tmp_path) if request.param == "http" else rtsp_server()) as server:
            yield server


def read_through(camera: Camera) -> tuple[Frame, list[str]]:
    """The first frame after an outage, and the reasons that were told until it came."""
    reasons: list[str] = []
    while True:
        try:
            return camera.read(), reasons
        except CameraError as error:
            reasons.append(error.what)


def next_frame(camera: GenicamCamera) -> Frame:
    """The next frame of a camera, which is triggered where it waits for that."""
    if camera.triggered:
        camera.trigger()
    return camera.read()


def test_a_camera_that_is_switched_off_and_on_comes_back(server: CameraServer, record_property) -> None:
    camera = open_supervised(server.uri, silence_s=1.0)
    assert isinstance(camera, SupervisedCamera)
    numbers = [camera.read().number for _ in range(10)]
    server.switch_off()
    with pytest.raises(CameraError):
        numbers.extend(frame.number for frame in iter(camera.read, None))
    time.sleep(0.5)
    server.switch_on()
    back_s = time.monotonic()
    frame, reasons = read_through(camera)
    record_property("back_s", time.monotonic() - back_s)
    numbers += [frame.number, *(camera.read().number for _ in range(10))]
    assert numbers == list(range(len(numbers)))
    assert len(set(reasons)) == len(reasons)
    camera.close()
    assert camera.read() is None


@pytest.mark.service
@pytest.mark.parametrize("options", ["", "?trigger=software"])
def test_an_industrial_camera_that_was_off_for_a_moment_is_known_to_have_been_away(
    options: str, record_property
) -> None:
    """Also one that waits for a trigger, and is silent by nature."""
    reasons = []
    with genicam_server() as server, switched_on(server):
        camera = open_camera(f"{server.uri}{options}")
        for pause_s in (0.05, 0.1, 0.2, 0.3):
            assert next_frame(camera).number == 0
            server.switch_off()
            time.sleep(pause_s)
            server.switch_on()
            back_s = time.monotonic()
            with pytest.raises(CameraError) as caught:
                list(iter(camera.read, None))
            record_property("noticed_s", time.monotonic() - back_s)
            reasons.append(caught.value.what)
            camera.close()
            camera = camera.reopen()
        next_frame(camera)
        camera.close()
    assert any("was away" in reason for reason in reasons)  # now and then Aravis's heartbeat is sooner


@pytest.mark.service
@pytest.mark.parametrize("options", ["", "?trigger=software"])
def test_an_industrial_camera_that_stood_still_for_a_moment_is_not_taken_for_lost(options: str) -> None:
    with genicam_server() as server, switched_on(server):
        camera = open_camera(f"{server.uri}{options}")
        number = next_frame(camera).number
        for _ in range(3):
            server.hang()
            time.sleep(0.7)
            server.go_on()
            number += 1
            assert next_frame(camera).number == number
        camera.close()


def test_a_camera_that_is_switched_on_later_is_read_when_it_is_there(server: CameraServer) -> None:
    server.switch_off()
    camera = open_supervised(server.uri)
    with pytest.raises(CameraError):
        camera.read()
    server.switch_on()
    frame, _ = read_through(camera)
    assert frame.number == 0
    camera.close()


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")
def test_a_pipeline_that_ends_is_started_again() -> None:
    source = "videotestsrc num-buffers=5 ! video/x-raw,format=GRAY8,width=64,height=48"
    camera = open_supervised(f"gst://{source}")
    numbers = [camera.read().number for _ in range(5)]
    with pytest.raises(CameraError, match="has ended"):
        camera.read()
    numbers.append(camera.read().number)
    assert numbers == [0, 1, 2, 3, 4, 5]
    camera.close()


@pytest.mark.service
def test_frames_over_rtsp_have_the_times_of_the_camera_not_of_the_network() -> None:
    with switched_on(rtsp_server()) as server:
        camera = open_camera(server.uri)
        frames = []
        for _ in range(150):  # the server tells its time after some seconds
            frames.append(camera.read())
            assert frames[-1].captured_at <= time.time()
            time.sleep(0.02 * (len(frames) % 2))  # a reader that is late now and then
        camera.close()
    times = [frame.captured_at for frame in frames[-20:]]
    assert np.diff(times) == pytest.approx(1 / 25, abs=0.002)


@pytest.mark.service
def test_a_frame_of_which_packets_were_lost_on_the_way_is_damaged() -> None:
    with genicam_server("--gvsp-lost-ratio", "3") as server, switched_on(server):
        camera = open_camera(server.uri)
        kinds = set()
        for _ in range(40):
            try:
                kinds.add(camera.read().data.shape)
            except UnreadablePictureError as damaged:
                kinds.add(damaged.damage)
        camera.close()
    assert kinds == {(512, 512), "it arrived incomplete (missing-packets)"}


@pytest.mark.service
@pytest.mark.parametrize(
    ("options", "takes"),
    [
        ("pixel_format=Mono12", "BayerBG8, BayerGB8, BayerGR8, BayerRG8, Mono8, RGB8"),
        ("pixel_format=Mono16", "BayerBG8, BayerGB8, BayerGR8, BayerRG8, Mono8, RGB8"),
        ("exposure_us=1e12", "10 to 1e+07"),
        ("gain=99", "0 to 10"),
        ("width=5000", "1 to 2048"),
        ("trigger=Line7", "Line0, Software"),
    ],
)
def test_what_an_industrial_camera_refuses_is_an_error_that_names_what_it_takes(options: str, takes: str) -> None:
    with genicam_server() as server, switched_on(server):
        with pytest.raises(CameraError) as caught:
            open_camera(f"{server.uri}?{options}")
        assert options.partition("=")[0] in caught.value.what
        assert takes in str(caught.value)


@pytest.mark.service
def test_an_industrial_camera_takes_its_options_and_is_found_by_its_serial_number() -> None:
    with genicam_server() as server, switched_on(server):
        options = "exposure_us=500&gain=2&pixel_format=RGB8&width=256&height=128&offset_x=4&fps=50"
        camera = open_camera(f"genicam://CAM1?{options}")
        assert camera.read().data.shape == (128, 256, 3)
        camera.close()
        with pytest.raises(CameraError, match="no camera 'CAM2'") as caught:
            open_camera("genicam://CAM2")
        assert "CAM1" in str(caught.value)


@pytest.mark.service
@pytest.mark.parametrize("options", ["", "?trigger=software"])
def test_an_industrial_camera_that_is_closed_may_be_opened_by_another_program(options: str) -> None:
    with genicam_server() as server, switched_on(server):
        for _ in range(2):
            camera = open_camera(f"{server.uri}{options}")
            assert next_frame(camera).number == 0
            camera.close()
            time.sleep(0.5)  # GigE Vision's heartbeat would keep it taken for 3 s


@pytest.mark.service
def test_an_industrial_camera_with_a_software_trigger_takes_one_picture_for_each() -> None:
    frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
    with genicam_server() as server, switched_on(server):
        camera = SupervisedCamera(lambda: open_camera(f"{server.uri}?trigger=software"), server.uri, silence_s=0.2)
        reader = threading.Thread(target=lambda: [frames.put(frame) for frame in iter(camera.read, None)])
        reader.start()
        with pytest.raises(queue.Empty):
            frames.get(timeout=1.5)
        for number in range(3):
            camera.trigger()
            assert frames.get(timeout=5).number == number
        with pytest.raises(queue.Empty):
            frames.get(timeout=0.5)
        camera.close()
        reader.join(5)
        assert not reader.is_alive()


@pytest.mark.service
def test_an_industrial_camera_that_waits_for_its_trigger_is_lost_when_it_no_longer_answers() -> None:
    with genicam_server() as server, switched_on(server):
        camera = open_camera(f"{server.uri}?trigger=Line0")
        server.switch_off()
        with pytest.raises(CameraError, match="no longer answers"):
            camera.read()
        camera.close()
