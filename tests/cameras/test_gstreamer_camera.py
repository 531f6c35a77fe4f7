"""Pipelines of GStreamer: a program of ours in place of gst-launch-1.0, and the real one where it is installed."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgerd.cameras import open_camera
from edgerd.cameras.protocol import Camera, FillingCamera
from edgerd.errors import CameraError, InputError, MissingDependencyError
from edgerd.types import PixelFormat

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")

FAKE = f"""#!{sys.executable}
# What edgerd needs of gst-launch-1.0: "fake n=3 format=NV12 width=8 height=4 end=eos ! fdsink name=edgerd fd=N"
import os, signal, sys, time
words = dict(word.split("=") for word in sys.argv[1:] if "=" in word and "(" not in word)
n, width, height, name = int(words["n"]), int(words["width"]), int(words["height"]), words["format"]
n_bytes = int(width * height * {{"NV12": 1.5, "YUY2": 2, "BGR": 3}}.get(name, 1))
def caps(width):
    fields = f"format=(string){{name}}, width=(int){{width}}, height=(int){{height}}, framerate=(fraction)30/1"
    print(f"/GstPipeline:pipeline0/GstFdSink:edgerd.GstPad:sink: caps = video/x-raw, {{fields}}", flush=True)
if words["end"] == "construct":
    sys.exit('WARNING: erroneous pipeline: no element "fake"')
if words["end"] == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if words["end"] != "silent":
    caps(width)
for number in range(n):
    os.write(int(words["fd"]), bytes([number]) * n_bytes)
if words["end"] == "error":
    sys.exit("ERROR: from element /GstPipeline:pipeline0/Fake:fake0: Internal data stream error.")
if words["end"] == "warning":
    print("WARNING: from element /GstPipeline:pipeline0/Fake:fake0: A lot of buffers are being dropped.", flush=True)
if words["end"] == "exit":
    sys.exit(1)
if words["end"] == "transpose":
    # As large a frame, but on its side. GStreamer says so later than it comes, unless it may not come at all.
    if "video/x-raw,format=(string)NV12,width=(int)8,height=(int)4" in sys.argv:
        sys.exit("ERROR: from element /GstPipeline:pipeline0/Fake:fake0: not-negotiated")
    os.write(int(words["fd"]), bytes([n]) * n_bytes)
    time.sleep(0.3)
    caps(4)
if words["end"] == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if words["end"] == "resize":
    caps(2 * width)
    time.sleep(0.3)
    os.write(int(words["fd"]), bytes(2 * n_bytes))
if words["end"] not in ("eos", "warning"):
    time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "bin" / "gst-launch-1.0"
    file.parent.mkdir()
    file.write_text(FAKE)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{file.parent}{os.pathsep}{os.environ['PATH']}")
    return file


def uri(end: str = "eos", n: int = 3, form: str = "NV12", width: int = 8, height: int = 4) -> str:
    return f"gst://fake n={n} format={form} width={width} height={height} end={end}"


@pytest.mark.parametrize(
    ("form", "pixel_format", "shape"),
    [
        ("NV12", PixelFormat.NV12, (6, 8)),
        ("YUY2", PixelFormat.YUYV, (4, 8, 2)),
        ("BGR", PixelFormat.BGR, (4, 8, 3)),
        ("GRAY8", PixelFormat.GREY, (4, 8)),
    ],
)
def test_frames_come_in_the_pipelines_format(
    program: Path, form: str, pixel_format: PixelFormat, shape: tuple[int, ...]
) -> None:
    camera = open_camera(uri(form=form))
    frames = [camera.read() for _ in range(3)]
    camera.close()
    for number, frame in enumerate(frames):
        assert frame is not None
        assert (frame.number, frame.pixel_format, frame.data.shape) == (number, pixel_format, shape)
        assert (frame.data == number).all()


def test_a_frame_is_read_into_the_memory_that_is_given(program: Path) -> None:
    camera = open_camera(uri())
    assert isinstance(camera, FillingCamera)
    buffer, small = np.zeros((6, 8), np.uint8), np.zeros((2, 2), np.uint8)
    first, second, third = camera.read_into(buffer), camera.read_into(small), camera.read_into(buffer)
    camera.close()
    assert first is not None
    assert first.data is buffer
    assert second is not None
    assert second.data is not small
    assert (second.data == 1).all()
    assert third is not None
    assert (buffer == 2).all()


@pytest.mark.parametrize(
    ("end", "n", "message"),
    [
        ("eos", 2, "has ended: its source gives no more frames"),
        ("exit", 2, "has ended: gst-launch-1.0 ended with exit code 1"),
        ("transpose", 2, "has ended: not-negotiated"),
        ("error", 2, "has ended: Internal data stream error"),
        ("crash", 2, "has ended: gst-launch-1.0 was ended by signal 11"),
        ("resize", 2, "no longer gives 8x4 nv12: it gives 16x4 nv12"),
    ],
)
def test_a_pipeline_that_fails_or_ends_is_a_lost_camera(program: Path, end: str, n: int, message: str) -> None:
    camera = open_camera(uri(end, n))
    n_read = 0

    def read_all() -> None:
        nonlocal n_read
        while camera.read() is not None:
            n_read += 1

    with pytest.raises(CameraError, match=message) as caught:
        read_all()
    camera.close()
    assert caught.value.exit_code == 4
    # once the pipeline speaks of another size, what is still in the pipe may be of either
    assert n_read <= n if end == "resize" else n_read == n


def test_a_warning_is_no_failure(program: Path) -> None:
    camera = open_camera(uri("warning", 1))
    assert camera.read() is not None
    with pytest.raises(CameraError, match="has ended: its source gives no more frames"):
        camera.read()
    camera.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (uri("construct"), 'does not open: no element "fake"'),
        (uri(form="I420"), "does not open: it gives I420"),
        (uri(form="BGR", width=10), "10x4 bgr has padding between its rows"),
        (uri(height=3), "8x3 nv12 has padding"),
    ],
)
def test_a_pipeline_that_cannot_be_used_says_why_and_how_to_try_it(program: Path, address: str, message: str) -> None:
    with pytest.raises(CameraError, match=message) as caught:
        open_camera(address)
    assert "gst-launch-1.0 fake n=3" in str(caught.value.hint)


def test_a_pipeline_that_gives_nothing_is_silent(program: Path) -> None:
    from edgerd.cameras.gstreamer import GStreamerCamera

    with pytest.raises(CameraError, match=r"delivered no frame for 0\.5 s"):
        GStreamerCamera(uri("silent", 0), timeout_s=0.5)
    camera = GStreamerCamera(uri("hang", 1), timeout_s=0.5)
    assert camera.read() is not None
    with pytest.raises(CameraError, match=r"delivered no frame for 0\.5 s"):
        camera.read()
    camera.close()


@pytest.mark.parametrize("end", ["hang", "stubborn"])
def test_close_from_another_thread_ends_a_read_and_the_program(program: Path, end: str) -> None:
    camera: Camera = open_camera(uri(end, 1))
    assert camera.read() is not None
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(camera.read()))
    reader.start()
    time.sleep(0.2)
    camera.close()
    reader.join(10)
    assert found == [None]
    assert camera.read() is None
    with pytest.raises(ChildProcessError):
        os.waitpid(camera._process._process.pid, os.WNOHANG)  # type: ignore[attr-defined]


def test_csi_asks_argus_for_the_sensors_mode(program: Path) -> None:
    """The program stands in for one that has no such element: its words are what was asked for."""
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.exit('WARNING: erroneous pipeline: ' + ' '.join(sys.argv))\n"
    )
    with pytest.raises(CameraError, match="does not open") as caught:
        open_camera("csi://1?width=1280&height=720&fps=60&flip=2")
    for words in (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=1280,height=720,framerate=60/1 ! ",
        "nvvidconv flip-method=2 ! video/x-raw,format=NV12 ! queue leaky=downstream max-size-buffers=1 ! fdsink",
    ):
        assert words in caught.value.what
    assert "nvidia-l4t-gstreamer" in str(caught.value.hint)


@pytest.mark.parametrize(
    "address", ["csi://", "csi://left", "csi://0?width=1281", "csi://0?speed=3", "gst://", "gst://a 'b"]
)
def test_an_address_that_means_nothing_is_unusable_input(program: Path, address: str) -> None:
    with pytest.raises(InputError) as caught:
        open_camera(address)
    assert caught.value.hint


def test_without_gstreamer_its_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"apt-get install gstreamer1\.0-tools"):
        open_camera(uri())


@needs_gstreamer
def test_the_real_program_gives_frames_and_stops() -> None:
    camera = open_camera("gst://videotestsrc is-live=true pattern=white ! video/x-raw,format=NV12,width=64,height=48")
    frame = camera.read()
    camera.close()
    assert frame is not None
    assert frame.data.shape == (72, 64)
    assert frame.data[:48].min() > 230  # white, of a limited or full range
    assert camera.read() is None


@pytest.mark.parametrize("password", ["Sek/ret", "Sek ret", "Sek@ret", "geheim"])
def test_secrets_of_a_pipeline_are_not_shown(program: Path, password: str) -> None:
    address = (
        f'gst://fake n=1 format=I420 width=8 height=4 end=eos user-pw="{password}" location="rtsp://a:{password}@h/"'
    )
    with pytest.raises(CameraError, match="does not open") as caught:
        open_camera(address)
    assert password not in str(caught.value)
    assert "format=I420 width=8" in str(caught.value.hint)


@pytest.mark.parametrize("prefix", ["", "gst://"])
def test_a_long_pipeline_is_no_internal_error(program: Path, prefix: str) -> None:
    """A file's name has 255 bytes at most, a path 4096."""
    for length in (300, 5000):
        with pytest.raises(CameraError, match="does not open" if prefix else "There is no camera"):
            open_camera(f"{prefix}fake n=1 format=I420 width=8 height=4 end=eos ! {'x' * length}")


@needs_gstreamer
def test_the_real_program_cannot_turn_its_frames_on_their_side() -> None:
    def source(width: int, height: int) -> str:
        return f"videotestsrc num-buffers=2 ! video/x-raw,format=GRAY8,width={width},height={height}"

    camera = open_camera(f"gst://{source(64, 48)} ! concat name=one {source(48, 64)} ! one. one.")
    frames = [camera.read(), camera.read()]
    assert [frame.data.shape for frame in frames if frame] == [(48, 64), (48, 64)]
    with pytest.raises(CameraError, match="has ended"):
        camera.read()
    camera.close()


@needs_gstreamer
def test_the_real_programs_complaint_is_passed_on() -> None:
    with pytest.raises(CameraError, match='no element "nosuchelement"'):
        open_camera("gst://nosuchelement")
    camera = open_camera("gst://videotestsrc ! video/x-raw,format=BGR,width=64,height=48 ! identity error-after=2")
    assert camera.read() is not None
    with pytest.raises(CameraError, match="has ended: Failed after iterations"):
        camera.read()
    camera.close()
