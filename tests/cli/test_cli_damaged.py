"""Videos with frames that cannot be decoded, and network cameras that go away, as commands treat them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from edgerd.data.samples import line_parts

N = 20


@pytest.fixture
def damaged_video(tmp_path: Path):
    """Writes a video of `N` good parts, those of the given numbers undecodable."""

    def write(*bad: int) -> Path:
        path = tmp_path / "line.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
        for line_part in line_parts("ring", N, 0.0, seed=5, size=96):
            writer.write(line_part.part.picture)
        writer.release()
        content, places, position = bytearray(path.read_bytes()), [], 0
        while (position := content.find(b"00dc", position)) >= 0:
            start, n_bytes = position + 8, int.from_bytes(content[position + 4 : position + 8], "little")
            if content[start : start + 2] == b"\xff\xd8":
                places.append(slice(start, start + n_bytes))
            position += 4
        for number in bad:
            content[places[number]] = bytes(places[number].stop - places[number].start)
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("bad", [(0,), (10, 11, 12), (N - 1,)])
def test_a_run_counts_damaged_frames_and_judges_all_others(edgerd, bundle, damaged_video, tmp_path, bad):
    file = tmp_path / "verdicts.jsonl"
    result = edgerd("run", "--camera", damaged_video(*bad), "--bundle", bundle.path, "--verdicts", file)
    assert result.exit_code == 0, result.err
    assert f"{len(bad)} without a decision" in result.out
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["frame"] for line in lines if line["verdict"] == "NO_DECISION"] == list(bad)
    assert len(lines) == N
    assert all("is damaged" in line["reason"] for line in lines if line["verdict"] == "NO_DECISION")


def test_a_video_without_a_whole_frame_ends_with_the_exit_code_of_a_lost_camera(edgerd, bundle, damaged_video):
    result = edgerd("run", "--camera", damaged_video(*range(N)), "--bundle", bundle.path)
    assert result.exit_code == 4
    assert f"{N} without a decision" in result.out
    assert "not one of its frames is whole" in result.err


def test_calibrate_says_how_many_frames_it_left_out(edgerd, bundle, damaged_video):
    video = damaged_video(*range(2, 8))
    result = edgerd("calibrate", bundle.path, "--from-camera", video, "--false-alarm-rate", 0.1)
    assert result.exit_code == 0, result.err
    assert "left out: 6 of 20 frames could not be read, or arrived damaged." in result.out
    assert result.out.count("left out: Frame ") == 3
    assert "14 good pictures added" in result.out


def test_calibrate_stores_nothing_from_a_handful_of_whole_frames(edgerd, bundle, damaged_video):
    before = (bundle.path / "bundle.json").read_bytes()
    result = edgerd("calibrate", bundle.path, "--from-camera", damaged_video(*range(5, N)))
    assert result.exit_code == 4
    assert "left out: 15 of 20 frames" in result.out
    assert (bundle.path / "bundle.json").read_bytes() == before


def test_calibrate_says_that_a_video_ended_early(edgerd, bundle, damaged_video):
    video = damaged_video()
    cut = video.with_suffix(".mkv")
    writer = cv2.VideoWriter(str(cut), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
    for line_part in line_parts("ring", N, 0.0, seed=5, size=96):
        writer.write(line_part.part.picture)
    writer.release()
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    result = edgerd("calibrate", bundle.path, "--from-camera", cut, "--false-alarm-rate", 0.1)
    assert result.exit_code == 0, result.err
    assert f"of the {N} frames it announces" in result.out


@pytest.mark.parametrize(
    "address", ["rtsp://admin:Sek/ret1@127.0.0.1:9/s", "rtsp://127.0.0.1:9/user=a&password=Sek/ret1"]
)
@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_an_error_shows_no_secret(edgerd, bundle, address, options):
    run = ["run", "--camera", address, "--bundle", bundle.path]
    for command in (run, ["calibrate", bundle.path, "--from-camera", address]):
        result = edgerd(*options, *command)
        assert result.exit_code == 4
        assert "ret1" not in result.out + result.err
