"""What `edgerd run` refuses before its first frame, and what `--check` finds out without raising an alert."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from run_parts import LINE


@pytest.mark.parametrize("name", ["heat.mkv", "heat"])
def test_a_video_that_cannot_be_written_is_refused_before_the_first_frame(run, tmp_path, name):
    result = run(LINE, "--save-video", tmp_path / name)
    assert result.exit_code == 2
    assert "ends in .mp4 or .avi" in result.err
    assert "frames in" not in result.out


@pytest.mark.parametrize(
    ("camera", "exit_code", "shown"),
    [
        ("93", 4, "Camera 93 does not open"),
        ("nowhere.mp4", 4, "There is no camera or file nowhere.mp4"),
        ("usb://0", 2, "one of device, rtsp"),
        ("sample://rong", 2, "'ring'"),
        ("sample://ring?colour=red", 2, "colour"),
    ],
)
def test_a_camera_that_does_not_open(run, camera, exit_code, shown):
    result = run(camera)
    assert result.exit_code == exit_code
    assert shown in result.err


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty").exit_code == 2


def test_check_opens_everything_and_raises_no_alert(run, bundle, tmp_path):
    result = run(LINE, "--check", "--threshold", 0.001, "--events", tmp_path / "events.jsonl")
    assert result.exit_code == 0, result.err
    assert f"All {len(bundle.manifest.files)} files" in result.out
    assert "1 frame in" in result.out
    assert "The check passed" in result.out
    assert not (tmp_path / "events.jsonl").exists()


def test_check_of_a_camera_with_its_cap_on(run, tmp_path):
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((96, 96, 3), np.uint8))
    result = run(tmp_path / "black.png", "--check")
    assert result.exit_code == 4
    assert "gave no frame that can be judged" in result.err


def test_check_of_a_damaged_bundle(run, bundle):
    file = bundle.path / bundle.manifest.ranges[0]
    file.write_bytes(file.read_bytes()[:-1])
    assert run(LINE).exit_code == 0  # what a run does not need, it does not read
    assert run(LINE, "--check").exit_code == 3


def test_a_window_without_a_screen(run, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    result = run(LINE, "--show")
    assert result.exit_code == 6
    assert "--save-video" in result.err


@pytest.mark.parametrize("option", ["--events", "--verdicts", "--json", "--save-video"])
def test_a_file_in_place_of_a_folder_is_noticed_before_the_run(run, tmp_path, option):
    (tmp_path / "file").write_text("")
    result = run(LINE, option, tmp_path / "file" / "below.mp4")
    assert result.exit_code == 1
    assert "could not be written" in result.err
    assert "frames in" not in result.out
