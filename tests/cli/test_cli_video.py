"""`run --save-video`: what is recorded plays everywhere, as fast as it was, and also where it was cut off."""

from __future__ import annotations

import shutil
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from run_parts import parts_of_size

from edgerd.cameras.fake import FakeCamera
from edgerd.cli import video
from edgerd.cli.video import VideoWriter, constant_rate
from edgerd.inspection.inspector import Inspector

LINE = "sample://ring?n=6&size=96"


def picture(number, height=64, width=96):
    """Grey, with a bar whose place tells the number."""
    shown = np.full((height, width, 3), 128, np.uint8)
    shown[:, 4 * number : 4 * number + 4] = (0, 0, 255)
    return shown


def frames_of(file):
    """Seconds and picture of each frame."""
    with av.open(str(file)) as container:
        return [(float(frame.time), frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def stream_of(file):
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.name, stream.pix_fmt, stream.average_rate, float(container.duration / av.time_base)


def written(file, times=(0.0, 0.1, 0.2), rate=Fraction(10), height=64, width=96):
    writer = VideoWriter(file, height, width, rate)
    for number, time_s in enumerate(times):
        writer.append(picture(number, height, width), time_s)
    writer.finish()
    writer.close()
    return file


def line_video(file, rate, n=8):
    """A video of sample parts at this rate."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for number in range(n):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, 96), format="bgr24")))
        container.mux(stream.encode())
    return file


@pytest.mark.skipif("libx264" not in av.codecs_available, reason="this build of FFmpeg has no H.264 encoder")
def test_an_mp4_is_what_browsers_play(run, tmp_path):
    assert run(LINE, "--save-video", tmp_path / "o.mp4").exit_code == 0
    assert stream_of(tmp_path / "o.mp4")[:2] == ("h264", "yuv420p")


def test_without_an_h264_encoder_there_is_a_video_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(video.av, "codecs_available", {"mpeg4", "mjpeg"})
    assert stream_of(written(tmp_path / "o.mp4"))[0] == "mpeg4"
    assert len(frames_of(tmp_path / "o.mp4")) == 3


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(50), Fraction(5)])
def test_a_recorded_video_is_as_fast_as_its_source(run, tmp_path, rate):
    source = line_video(tmp_path / "line.mp4", rate)
    assert run(source, "--save-video", tmp_path / "o.mp4").exit_code == 0
    _, _, recorded, duration_s = stream_of(tmp_path / "o.mp4")
    assert float(recorded) == pytest.approx(float(rate), rel=1e-3)
    assert duration_s == pytest.approx(float(8 / rate), rel=0.02)


def test_frames_of_a_live_camera_are_shown_when_they_were_captured(monkeypatch, run, tmp_path):
    captured = []

    class Uneven(FakeCamera):
        def read(self):
            frame = super().read()
            if frame is None:
                return None
            at = 100.0 + 0.04 * frame.number + (3.0 if frame.number >= 3 else 0.0)
            captured.append(at - 100.0)
            return frame.__class__(frame.data, number=frame.number, captured_monotonic_s=at, captured_at=at)

    monkeypatch.setattr(
        "edgerd.cli.run_cameras.open_camera",
        lambda uri: Uneven([picture(n, 96) for n in range(6)], uri=uri, live=True),
    )
    result = run("0", "--frames", "every", "--max-frames", 6, "--save-video", tmp_path / "o.mp4")
    assert result.exit_code == 0, result.err
    times = [time_s for time_s, _ in frames_of(tmp_path / "o.mp4")]
    np.testing.assert_allclose(times, captured[:6], atol=0.002)


def test_the_verdict_stands_in_one_place_in_all_frames(fake_camera, run, bundle, tmp_path):
    """Also where a defect lies below it: what jumps about from frame to frame cannot be read."""
    shown = parts_of_size(*[96] * 5)
    for frame, (y, x) in zip(shown[1:], [(0, 0), (0, 72), (72, 0), (72, 72)], strict=True):
        frame[y : y + 24, x : x + 24] = (0, 255, 255)
    with Inspector.open(bundle) as inspector:
        lowest = min(inspector.inspect(frame).score for frame in shown[1:])
    fake_camera(shown, live=False, n_frames=5)
    result = run("camera", "--threshold", 0.8 * lowest, "--save-video", tmp_path / "o.mp4")
    assert "1 OK, 4 NG" in result.out
    banners = [frame[2:10, 4:24].mean(axis=(0, 1)) for _, frame in frames_of(tmp_path / "o.mp4")]
    assert [red > green + 40 for _, green, red in banners] == [False, True, True, True, True]
    assert banners[0][1] > banners[0][2] + 40


def test_frames_that_were_dropped_leave_a_gap_and_no_haste(tmp_path):
    file = written(tmp_path / "o.mp4", times=(0.0, 0.1, 0.5))
    assert [time_s for time_s, _ in frames_of(file)] == pytest.approx([0.0, 0.1, 0.5])


@pytest.mark.parametrize("times", [(0.0, 0.0, 0.0), (0.0, -1.0, 0.1)])
def test_times_that_stand_still_or_go_back_lose_no_frame(tmp_path, times):
    for rate in (None, Fraction(10)):
        found = [time_s for time_s, _ in frames_of(written(tmp_path / "o.mp4", times, rate))]
        assert len(found) == 3
        assert found == sorted(set(found))


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize(("height", "width"), [(63, 95), (64, 95), (63, 96), (64, 96), (1, 1), (17, 200)])
def test_pictures_of_any_size(tmp_path, suffix, height, width):
    file = written(tmp_path / f"o{suffix}", height=height, width=width)
    frames = [frame for _, frame in frames_of(file)]
    assert len(frames) == 3
    assert frames[0].shape == (height + height % 2, width + width % 2, 3)


def test_colours_stay_what_they_are(tmp_path):
    shown = np.full((64, 96, 3), (30, 20, 200), np.uint8)
    writer = VideoWriter(tmp_path / "o.mp4", 64, 96, Fraction(10))
    writer.append(shown, 0.0)
    writer.finish()
    writer.close()
    _, found = cv2.VideoCapture(str(tmp_path / "o.mp4")).read()
    np.testing.assert_allclose(found[32, 48], (30, 20, 200), atol=12)


def test_a_recording_that_was_cut_off_plays_to_the_frame_before_the_last(tmp_path):
    """The process was killed, or the power failed: what is in the file by then can be watched."""
    writer = VideoWriter(tmp_path / "o.mp4", 64, 96, Fraction(10))
    for number in range(8):
        writer.append(picture(number), number / 10)
    shutil.copy(tmp_path / "o.mp4", tmp_path / "killed.mp4")
    writer.close()
    frames = frames_of(tmp_path / "killed.mp4")
    assert len(frames) >= 7
    for number, (time_s, frame) in enumerate(frames):
        assert time_s == pytest.approx(number / 10)
        assert int(frame[32, :, 2].astype(int).argmax()) // 4 == number


def test_what_has_no_rate_has_none(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), picture(0))
    (tmp_path / "no.mp4").write_bytes(b"no video")
    for source in (tmp_path / "one.png", tmp_path / "no.mp4", tmp_path / "none.mp4", tmp_path, "sample://ring", "0"):
        assert constant_rate(str(source)) is None
    assert constant_rate(f"video://{line_video(tmp_path / 'line.mp4', Fraction(12))}") == 12
