"""The table of cameras: which URI is which, and what every one of them must do."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgerd.cameras import CAMERAS, camera_kind, comes_back, open_camera
from edgerd.cameras.protocol import Camera
from edgerd.cameras.times import MAX_AGE_S
from edgerd.errors import CameraError, DatasetError, InputError

SERVED = ("rtsp", "genicam")
"""Those that need a program which is not a part of edgerd's environment."""


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.service] if name in SERVED else []) for name in CAMERAS])
def camera(request: pytest.FixtureRequest, video: Path, picture_folder: Path) -> Camera:
    uris = {
        "video": str(video),
        "files": str(picture_folder),
        "sample": "sample://?n=3&size=64",
    }
    if request.param == "http":
        uris["http"] = request.getfixturevalue("network_camera")
    if request.param in SERVED:
        uris[request.param] = request.getfixturevalue(f"{request.param}_camera")
    if request.param == "device":
        if not Path("/dev/video0").exists():
            pytest.skip("no /dev/video0 on this machine")
        uris["device"] = "0"
    if request.param == "gst":
        if not shutil.which("gst-launch-1.0"):
            pytest.skip("gst-launch-1.0 is not installed")
        uris["gst"] = "gst://videotestsrc num-buffers=20 ! video/x-raw,format=NV12,width=64,height=48"
    if request.param not in uris:
        pytest.skip("needs a camera of this kind; another of its class stands for it")
    return open_camera(uris[request.param])


def test_every_camera_gives_numbered_timed_frames_and_then_ends(camera: Camera) -> None:
    # A frame may have been captured before it was asked for, where the camera says when it was.
    age_s = MAX_AGE_S if camera_kind(camera.uri) in ("device", "rtsp", "genicam") else 0.0
    before, before_s = time.time() - age_s, time.monotonic() - age_s
    frames = [frame for _ in range(3) if (frame := camera.read())]
    assert [frame.number for frame in frames] == [0, 1, 2]
    for frame in frames:
        assert frame.data.dtype == np.uint8
        assert frame.data.ndim in (2, 3)
        assert before <= frame.captured_at <= time.time()
        assert before_s <= frame.captured_monotonic_s <= time.monotonic()
        assert frame.source
    assert (camera.live or camera.n_frames) is not None
    camera.close()
    camera.close()
    assert camera.read() is None


def test_every_camera_gives_frames_that_stay_as_they_are(camera: Camera) -> None:
    first = camera.read()
    assert first is not None
    content = first.data.copy()
    camera.read()
    assert np.array_equal(first.data, content)
    camera.close()


def test_every_camera_can_be_closed_from_another_thread_while_it_is_read(camera: Camera) -> None:
    def read_to_the_end() -> None:
        with contextlib.suppress(CameraError):  # a pipeline that was faster than `close` has ended, and says so
            while camera.read():
                pass

    reader = threading.Thread(target=read_to_the_end)
    reader.start()
    camera.close()
    reader.join(timeout=10)
    assert not reader.is_alive()


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("0", "device"),
        ("12", "device"),
        ("/dev/video0", "device"),
        ("device://0", "device"),
        ("rtsp://user:secret@10.0.0.3/live", "rtsp"),
        ("RTSP://10.0.0.3/live", "rtsp"),
        ("http://10.0.0.3/video.mjpg", "http"),
        ("line.mp4", "video"),
        ("HTTP://10.0.0.3/video.mjpg", "http"),
        ("/dev/v4l/by-id/usb-Acme-video-index0", "device"),
        ("video://0", "video"),
        ("0?width=640&height=480", "device"),
        ("/dev/video0?format=MJPG", "device"),
        ("/dev/v4l/by-id/usb-Acme-video-index0?buffers=2", "device"),
        ("/dev/null?buffers=2", "device"),
        ("parts/part?.png", "files"),
        ("line.mp4?", "files"),
        ("parts/*.png", "files"),
        ("parts/**/*", "files"),
        ("missing.PNG", "files"),
        ("csi://0?width=1280", "csi"),
        ("gst://filesrc location=a.mp4 ! decodebin", "gst"),
        ("sample://", "sample"),
    ],
)
def test_uri_grammar(uri: str, kind: str) -> None:
    assert camera_kind(uri) == kind


def test_only_cameras_that_may_be_switched_off_come_back() -> None:
    uris = ("0", "rtsp://10.0.0.3/live", "http://10.0.0.3/video.mjpg", "csi://0", "gst://videotestsrc", "genicam://1")
    assert all(comes_back(uri) for uri in uris)
    assert not any(comes_back(uri) for uri in ("line.mp4", "parts/*.png", "sample://?live=1"))


def test_folder_is_files_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "line.mp4").mkdir()
    assert camera_kind(str(tmp_path / "line.mp4")) == "files"


def test_video_whose_name_looks_like_a_glob_is_a_video(tmp_path: Path) -> None:
    (tmp_path / "line[1].mp4").touch()
    assert camera_kind(str(tmp_path / "line[1].mp4")) == "video"


def test_a_link_to_a_device_is_a_device_and_a_pipe_is_a_video_whatever_their_names(tmp_path: Path) -> None:
    device, pipe = tmp_path / "usb-Acme.png", tmp_path / "line.png"
    device.symlink_to("/dev/null")
    os.mkfifo(pipe)
    assert camera_kind(str(device)) == "device"
    assert camera_kind(str(pipe)) == "video"


def test_a_scheme_in_capitals_opens_what_it_names(video: Path, picture_folder: Path, network_camera: str) -> None:
    for uri in (f"VIDEO://{video}", f"Files://{picture_folder}", network_camera.replace("http", "HTTP")):
        camera = open_camera(uri)
        assert camera.read() is not None
        camera.close()


@pytest.mark.parametrize("name", ["line.mp4", "line.png", "x" * 300, "a\0b", "v4l2src ! " * 500])
def test_a_name_that_cannot_be_a_file_or_may_not_be_looked_at_is_no_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def locked(path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    with pytest.raises((CameraError, InputError)):
        open_camera(f"{tmp_path}/{name}")
    monkeypatch.setattr(os, "stat", locked)
    with pytest.raises((CameraError, InputError)):
        open_camera(f"{tmp_path}/{name}")


def test_a_forgotten_gst_is_said() -> None:
    with pytest.raises(CameraError, match="A pipeline begins with gst://"):
        open_camera("v4l2src ! video/x-raw")


def test_unknown_scheme_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'rtsp'"):
        open_camera("rstp://10.0.0.3/live")


def test_missing_file_says_what_a_camera_may_be(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="rtsp://") as caught:
        open_camera(str(tmp_path / "missing.mp4"))
    assert caught.value.exit_code == 4


def test_empty_folder_is_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pictures") as caught:
        open_camera(str(tmp_path))
    assert caught.value.exit_code == 2


def test_listing_the_cameras_does_not_bring_opencv() -> None:
    program = "import sys, edgerd.cameras; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
