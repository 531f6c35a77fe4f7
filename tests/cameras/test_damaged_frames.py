"""Frames that arrive damaged or cut, sources that are lost: neither is ever a whole frame, or an end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from damaged import jpeg, noisy_pictures, outcomes, overwrite, write_mjpeg_avi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerd.cameras.ffmpeg import StreamCamera, VideoFile
from edgerd.cameras.ffmpeg_decoder import Damage, JpegDecoder
from edgerd.cameras.protocol import UnreadablePictureError
from edgerd.errors import CameraError

FRAME, DAMAGED, LOST = "frame", "damaged", "lost"
KEY_FRAMES_EVERY = 10


@pytest.mark.parametrize("bad", [{10, 11, 12}, {0}, {39}, {0, 39}, set(range(39))])
def test_frames_of_a_video_that_cannot_be_decoded_are_damaged_and_the_others_are_there(
    tmp_path: Path, bad: set[int]
) -> None:
    path = tmp_path / "line.avi"
    places = write_mjpeg_avi(path, 40)
    for number in bad:
        overwrite(path, places[number])
    assert outcomes(VideoFile(str(path))) == [DAMAGED if number in bad else FRAME for number in range(40)]


def test_a_video_without_one_whole_frame_is_no_run_that_ended_well(tmp_path: Path) -> None:
    path = tmp_path / "line.avi"
    for place in write_mjpeg_avi(path, 5):
        overwrite(path, place)
    camera = VideoFile(str(path))
    assert outcomes(camera) == [*[DAMAGED] * 5, LOST]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.dictionaries(st.integers(0, 11), st.floats(0.3, 0.99), max_size=6))
def test_a_frame_that_comes_in_part_over_the_network_is_damaged(
    served: Callable[[list[bytes]], str], cuts: dict[int, float]
) -> None:
    whole = [jpeg(picture) for picture in noisy_pictures(12)]
    sent = [body[: int(len(body) * cuts.get(number, 1.0))] for number, body in enumerate(whole)]
    camera = StreamCamera(served(sent))
    assert outcomes(camera) == [*(DAMAGED if number in cuts else FRAME for number in range(12)), LOST]


def test_a_network_camera_that_hangs_up_is_lost(served: Callable[[list[bytes]], str]) -> None:
    camera = StreamCamera(served([jpeg(picture) for picture in noisy_pictures(3)]))
    for _ in range(3):
        assert camera.read() is not None
    with pytest.raises(CameraError, match="was lost after 3 frames: ") as caught:
        camera.read()
    assert caught.value.exit_code == 4


def test_a_frame_that_grows_in_mid_stream_has_its_own_size(served: Callable[[list[bytes]], str]) -> None:
    pictures = [*noisy_pictures(3), *noisy_pictures(3, 96, 128)]
    camera = StreamCamera(served([jpeg(picture) for picture in pictures]))
    shapes = [frame.data.shape for _ in pictures if (frame := camera.read())]
    assert shapes == [(48, 64, 3)] * 3 + [(96, 128, 3)] * 3


@settings(deadline=None)
@given(st.data())
def test_no_part_of_a_jpeg_is_a_picture(data: st.DataObject) -> None:
    """Nor one whose rest is another picture."""
    one, other = (jpeg(picture) for picture in noisy_pictures(2))
    end = data.draw(st.integers(2, len(one) - 2))
    assert isinstance(JpegDecoder().decode(one[:end]), Damage)
    end = data.draw(st.integers(one.index(b"\xff\xda") + 20, len(one) - 2))
    assert isinstance(JpegDecoder().decode(one[:end] + b"\r\n--frame\r\n\r\n" + other), Damage)


def test_a_camera_may_pad_its_jpegs() -> None:
    """Drivers hand over the whole of a buffer that is larger than the picture."""
    assert isinstance(JpegDecoder().decode(jpeg(noisy_pictures(1)[0]) + bytes(500)), av.VideoFrame)


def write_h264(path: Path, n_frames: int) -> None:
    """With pictures that build on earlier and on later ones, and a key frame now and then."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {
            "bf": "2",
            "g": str(KEY_FRAMES_EVERY),
            "keyint_min": str(KEY_FRAMES_EVERY),
            "sc_threshold": "0",
        }
        stream.options |= {"x264-params": "open-gop=0"}
        for picture in noisy_pictures(n_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def packets(path: Path) -> list[tuple[int, int, int]]:
    """Number of the frame, position in the file and size of each packet, as they are stored."""
    with av.open(str(path)) as container:
        found = [(packet.pts, packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    order = sorted(pts for pts, _, _ in found)
    return [(order.index(pts), position, size) for pts, position, size in found]


@pytest.mark.parametrize("stored_as", range(10, 21))
def test_what_builds_on_a_damaged_frame_is_damaged_up_to_the_next_key_frame(tmp_path: Path, stored_as: int) -> None:
    path = tmp_path / "line.mp4"
    write_h264(path, 40)
    number, position, size = packets(path)[stored_as]
    overwrite(path, slice(position + size // 3, position + size))
    found = outcomes(VideoFile(str(path)))
    begin, end = number // KEY_FRAMES_EVERY * KEY_FRAMES_EVERY, (number // KEY_FRAMES_EVERY + 1) * KEY_FRAMES_EVERY
    first = found.index(DAMAGED)
    # Two pictures at most were in the decoder when the damage came, and may be lost with it.
    assert begin - 2 <= first <= number
    assert found == [FRAME] * first + [DAMAGED] * (end - first) + [FRAME] * (40 - end)


def test_a_disk_that_fails_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "line.avi"
    write_mjpeg_avi(path, 10)
    camera = VideoFile(str(path))
    for _ in range(3):
        assert camera.read() is not None
    monkeypatch.setattr(camera, "_packets", failing(av.error.OSError(5, "Input/output error")))
    with pytest.raises(CameraError, match=r"line\.avi was lost after 3 frames: input/output error"):
        camera.read()


def failing(error: Exception):
    raise error
    yield


@pytest.mark.parametrize(("turned", "quarter_turns"), [(90, 3), (180, 2), (270, 1)])
def test_a_video_that_was_held_upright_is_upright(tmp_path: Path, turned: int, quarter_turns: int) -> None:
    """A telephone stores the picture as its sensor saw it, and how it was held as a matrix in the header."""
    one = 1 << 16
    matrix = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[turned]
    path = tmp_path / "line.mp4"
    write_h264(path, 1)
    straight = VideoFile(str(path)).read()
    content = path.read_bytes()
    before, after = (
        b"".join(number.to_bytes(4, "big", signed=True) for number in (a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for a, b, c, d in ((one, 0, 0, one), matrix)
    )
    track = content.index(b"tkhd")
    path.write_bytes(content[:track] + content[track:].replace(before, after, 1))
    upright = VideoFile(str(path)).read()
    assert straight is not None
    assert upright is not None
    assert np.array_equal(upright.data, np.rot90(straight.data, quarter_turns))


def test_a_video_comes_through_a_pipe(tmp_path: Path) -> None:
    path, pipe = tmp_path / "line.avi", tmp_path / "pipe"
    places = write_mjpeg_avi(path, 12)
    overwrite(path, places[4])
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()
    camera = VideoFile(str(pipe))
    assert outcomes(camera) == [FRAME] * 4 + [DAMAGED] + [FRAME] * 7
    camera.close()
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerd.cameras.pipe.LIVE_TIMEOUT_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CameraError, match=r"Nothing has come through the pipe .*pipe for 0\.1 s"):
        VideoFile(str(tmp_path / "pipe"))


def test_a_read_of_a_pipe_can_be_closed(tmp_path: Path) -> None:
    path, pipe = tmp_path / "line.avi", tmp_path / "pipe"
    write_mjpeg_avi(path, 12)
    os.mkfifo(pipe)
    # Both ends, so that the other one stays open.
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, path.read_bytes()[:-4000])
    camera = VideoFile(str(pipe))
    found: list[list[str]] = []
    reader = threading.Thread(target=lambda: found.append(outcomes(camera)))
    reader.start()
    reader.join(0.3)
    camera.close()
    reader.join(10)
    os.close(writer)
    assert found
    assert set(found[0]) == {FRAME}


def test_a_damaged_frame_has_no_pixels_and_says_what_is_wrong(served: Callable[[list[bytes]], str]) -> None:
    bodies = [jpeg(picture) for picture in noisy_pictures(2)]
    camera = StreamCamera(served([bodies[0], bodies[1][:-300]]))
    buffer = np.zeros((48, 64, 3), np.uint8)
    assert camera.read_into(buffer) is not None
    before = buffer.copy()
    with pytest.raises(UnreadablePictureError, match=r"^Frame 1 of http.* is damaged: the JPEG has no end") as caught:
        camera.read_into(buffer)
    assert caught.value.frame.data.shape == (0, 0, 3)
    assert caught.value.frame.captured_at > 0
    assert np.array_equal(buffer, before)
