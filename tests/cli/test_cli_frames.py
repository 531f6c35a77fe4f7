"""`edgerd frames`: what it prints, its exit codes, and that its pictures can be trained on."""

from __future__ import annotations

import signal

import pytest

from edgerd.cli.video import VideoWriter
from edgerd.data.pictures import read_picture
from edgerd.data.samples import line_parts


@pytest.fixture
def video(tmp_path):
    """Four seconds of a line, ten frames a second: parts, then the last one standing still; a name with a blank."""
    parts = [part.part.picture for part in line_parts("ring", 30, 0.0, seed=5, size=96)]
    path = tmp_path / "my line.mp4"
    writer = VideoWriter(path, 96, 96, rate=None)
    for index in range(40):
        writer.append(parts[min(index, 29)], index / 10)
    writer.finish()
    writer.close()
    return path


def test_frames_of_a_video(edgerd, video, tmp_path):
    out = tmp_path / "parts of mine"
    result = edgerd("frames", video, "-o", out, "--count", 40)
    assert result.exit_code == 0, result.err
    files = sorted(out.iterdir())
    assert f"40 frames looked at, {len(files)} taken, in {out}" in result.out
    assert 28 <= len(files) <= 31  # H.264 changes what stands still a little
    assert "left out: nearly the same as one that was taken" in result.out
    assert files[0].name == "my line_00-00-00.000.png"
    assert read_picture(files[0]).shape == (96, 96, 3)
    assert f"edgerd train '{out}' -o RUN" in result.out
    assert "train poorly: 50 and more" in result.err


def test_a_live_camera(edgerd, tmp_path):
    uri = "sample://ring?size=96&live=1&fps=100"
    result = edgerd("frames", uri, "-o", tmp_path / "out", "--minutes", 0.02, "--count", 20)
    assert result.exit_code == 0, result.err
    assert 15 <= len(list((tmp_path / "out").iterdir())) <= 20


def test_every_takes_all_unless_a_count_is_given(edgerd, video, tmp_path):
    assert edgerd("frames", video, "-o", tmp_path / "all", "--every", 0.5).exit_code == 0
    assert edgerd("frames", video, "-o", tmp_path / "some", "--every", 0.5, "--count", 2).exit_code == 0
    assert len(list((tmp_path / "all").iterdir())) in (6, 7)  # the belt stands still in the last second
    assert len(list((tmp_path / "some").iterdir())) == 2


@pytest.mark.parametrize(
    ("source", "exit_code", "shown"),
    [("nothing.mp4", 4, "nothing.mp4"), ("nothing/*.png", 2, "There are no pictures"), ("sample://cog", 2, "cog")],
)
def test_sources_that_are_none(edgerd, tmp_path, source, exit_code, shown):
    result = edgerd("frames", source, "-o", tmp_path / "out")
    assert result.exit_code == exit_code
    assert shown in result.err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_files_in_it(edgerd, video, tmp_path):
    result = edgerd("frames", video, "-o", tmp_path)
    assert result.exit_code == 2
    assert "has files in it" in result.err
    assert list(tmp_path.iterdir()) == [video]


@pytest.mark.parametrize("option", [("--count", 0), ("--every", 0), ("--minutes", "nan")])
def test_numbers_that_make_no_sense(edgerd, video, tmp_path, option):
    assert edgerd("frames", video, "-o", tmp_path / "out", *option).exit_code == 2


def test_ctrl_c_keeps_what_was_taken(edgerd_process, tmp_path):
    out = tmp_path / "out"
    process = edgerd_process("frames", "sample://ring?size=96&live=1&fps=50", "-o", out, "--every", 0.05)
    while not out.is_dir() or len(list(out.iterdir())) < 3:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"{len(list(out.iterdir()))} taken" in shown
    assert "what was taken so far stays" in errors
    assert "Traceback" not in errors
