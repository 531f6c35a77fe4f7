"""However `edgerd run` ends early, there is a summary, and the exit code says why."""

from __future__ import annotations

import json
import signal

import cv2
import pytest
from json_lines import lines_of
from run_parts import parts_of_size

from edgerd.data.samples import line_parts
from edgerd.errors import CameraError


def test_a_video_that_was_cut_short_is_not_finished(run, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "cut.mkv"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
    for line_part in line_parts("ring", 20, 0.0, size=96):
        writer.write(line_part.part.picture)
    writer.release()
    content = (tmp_path / "cut.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    result = run(tmp_path / "cut.mkv", "--json", tmp_path / "summary.json")
    assert result.exit_code == 4
    assert "of the 20 frames it announces" in result.err
    assert "was not inspected" in result.err
    assert json.loads((tmp_path / "summary.json").read_text())["ended"] == "error"


def test_a_lost_camera_ends_with_summary_event_and_its_exit_code(run, fake_camera, tmp_path):
    fake_camera([*parts_of_size(96), CameraError("The cable is gone.")], live=True)
    files = [tmp_path / name for name in ("events.jsonl", "summary.json")]
    result = run("camera", "--frames", "every", "--events", files[0], "--json", files[1])
    assert result.exit_code == 4
    assert "The cable is gone." in result.err
    assert "1 frame in" in result.out
    assert [event["kind"] for event in lines_of(files[0])] == ["camera"]
    assert "The cable is gone." in json.loads(files[1].read_text())["error"]


def test_a_summary_that_cannot_be_written_does_not_hide_a_lost_camera(run, fake_camera):
    fake_camera([*parts_of_size(96), CameraError("The cable is gone.")], live=True)
    result = run("camera", "--frames", "every", "--json", "/dev/full")
    assert result.exit_code == 4
    assert "The cable is gone." in result.err


@pytest.mark.parametrize(
    ("camera", "number", "exit_code"),
    [
        ("sample://ring?live=1&pool=2&size=96", signal.SIGINT, 0),
        ("sample://ring?live=1&pool=2&size=96", signal.SIGTERM, 0),
        ("sample://ring?n=1000000&pool=2&size=96", signal.SIGINT, 130),
    ],
    ids=["live camera", "live camera, systemctl stop", "unfinished files"],
)
def test_an_interrupt_ends_with_the_summary(edgerd_process, bundle, tmp_path, camera, number, exit_code):
    summary = tmp_path / "summary.json"
    process = edgerd_process("run", "--camera", camera, "--verdicts", "-", "--json", summary)
    process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == exit_code
    assert all(json.loads(line)["verdict"] for line in out.splitlines())
    assert "Traceback" not in err
    assert "without a decision" in err
    assert json.loads(summary.read_text())["ended"] == "stopped"
