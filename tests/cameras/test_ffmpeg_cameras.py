"""Video files and a network camera."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edgerd.cameras.ffmpeg import StreamCamera, VideoFile
from edgerd.errors import CameraError


def write_mjpeg(path: Path, n_frames: int) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(n_frames):
        writer.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path.read_bytes()


def test_video_gives_every_frame_in_order_and_ends(video: Path) -> None:
    camera = VideoFile(str(video))
    frames = [frame for frame in iter(camera.read, None) if frame]
    assert len(frames) == camera.n_frames == 20
    assert [frame.number for frame in frames] == list(range(20))
    assert [round(frame.data.mean(), -1) for frame in frames] == [10 * number for number in range(20)]
    assert not camera.live
    assert camera.read() is None


def test_video_writes_to_memory_that_fits_and_makes_its_own_otherwise(video: Path) -> None:
    camera = VideoFile(str(video))
    fitting, other = np.zeros((48, 64, 3), np.uint8), np.zeros((20, 64, 3), np.uint8)
    for number in range(3):
        frame = camera.read_into(fitting)
        assert frame is not None
        assert frame.data.ctypes.data == fitting.ctypes.data
        assert round(fitting.mean(), -1) == 10 * number
    frame = camera.read_into(other)
    assert frame is not None
    assert frame.data.shape == (48, 64, 3)
    assert not other.any()
    assert round(camera.read().data.mean(), -1) == 40
    assert round(fitting.mean(), -1) == 20


def test_video_cut_short_ends_early_but_says_how_many_there_should_be(tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    content = write_mjpeg(path, 40)
    path.write_bytes(content[: len(content) // 2])
    camera = VideoFile(str(path))
    n_read = sum(1 for _ in iter(camera.read, None))
    assert camera.n_frames == 40
    assert 0 < n_read < 40


def test_video_without_one_whole_frame_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "head.mkv"
    path.write_bytes(write_mjpeg(path, 20)[:2000])
    with pytest.raises(CameraError, match=r"head\.mkv cannot be decoded"):
        VideoFile(str(path)).read()


@pytest.mark.parametrize("content", [b"", b"this is a text", b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 4000])
def test_file_that_is_no_video_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=r"broken\.mp4 cannot be decoded as a video"):
        VideoFile(str(path))


def test_stream_that_nobody_serves_is_an_error_without_its_password() -> None:
    with pytest.raises(CameraError, match="does not open") as caught:
        StreamCamera("rtsp://admin:secret@127.0.0.1:9/live", timeout_s=1)
    assert "secret" not in str(caught.value)


def test_network_camera_that_falls_silent_is_lost(network_camera: str) -> None:
    camera = StreamCamera(network_camera, timeout_s=1.0)
    assert camera.live
    frames = iter(camera.read, None)
    for _ in range(10):
        next(frames)
    with pytest.raises(CameraError, match="has delivered no frame for 1 s"):
        list(frames)
    camera.close()


def test_network_camera_can_be_closed_while_its_read_blocks(network_camera: str) -> None:
    camera = StreamCamera(network_camera, timeout_s=1.0)
    outcome: list[object] = []

    def read_to_the_end() -> None:
        while (frame := camera.read()) is not None:
            outcome.append(frame.number)
        outcome.append("end")

    reader = threading.Thread(target=read_to_the_end)
    reader.start()
    while len(outcome) < 10:
        time.sleep(0.01)
    camera.close()
    reader.join(timeout=10)
    assert outcome[-1] == "end"


def late_stream(key_frame_after: int) -> list[bytes]:
    """What a stream sends to one who joins it so many frames before its next key frame: a piece per frame."""
    memory, pieces = io.BytesIO(), []
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), "bgr24")
    with av.open(memory, "w", format="mpegts", options={"flush_packets": "1"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        n_packets = position = 0
        for _ in range(80):
            for packet in stream.encode(picture):
                n_packets += 1
                if n_packets > 50 - key_frame_after:
                    container.mux(packet)
                    pieces.append(memory.getvalue()[position:])
                    position = len(memory.getvalue())
    return pieces


def test_a_stream_that_is_joined_before_its_next_key_frame_is_waited_for_longer_than_a_silent_one(streamed) -> None:
    camera = StreamCamera(streamed(late_stream(key_frame_after=40), 25), timeout_s=0.6)
    began_s = time.monotonic()
    assert camera.read() is not None
    assert time.monotonic() - began_s > 0.6
    camera.close()
