"""`edgerd run`: verdicts, alerts and a summary, however it ends."""

from __future__ import annotations

import json
import re
import signal

import cv2
import numpy as np
import pytest
from json_lines import lines_of

from edgerd.cameras.fake import FakeCamera
from edgerd.data.samples import line_parts, write_video

LINE = "sample://ring?n=12&defective=0.5&size=96"
EVENT_KEYS = {
    *("kind", "id", "state", "camera", "frame", "source", "captured_at", "decided_at", "score", "threshold"),
    *("regions", "bundle", "trigger", "product", "recipe", "reason"),
}
VERDICT_KEYS = EVENT_KEYS - {"kind", "id", "state", "recipe"} | {"verdict", "frame_ms"}
SUMMARY_KEYS = {
    *("engine_ms", "frame_ms", "capture_to_verdict_ms", "frames", "dropped", "no_decision", "alerts", "runtime"),
    *("precision", "device", "threads", "ok", "ng", "held_back", "ended", "warnings", "error"),
}
"""Keys of JSON that users' programs read: they must not change."""


@pytest.fixture
def scores(run, tmp_path):
    """Scores of the frames of LINE."""
    run(LINE, "--verdicts", tmp_path / "scores.jsonl")
    return [record["score"] for record in lines_of(tmp_path / "scores.jsonl")]


@pytest.fixture
def fake_camera(monkeypatch):
    """Let `edgerd run` open a camera from a list."""

    def install(script, **kind):
        monkeypatch.setattr("edgerd.cli.run_cameras.open_camera", lambda uri: FakeCamera(script, uri=uri, **kind))

    return install


def parts_of_size(*sizes):
    (part,) = line_parts("ring", 1, 0.0, seed=3, size=96)
    return [cv2.resize(part.part.picture, (size, size)) for size in sizes]


def test_events_verdicts_and_summary(run, bundle, scores, tmp_path):
    threshold = sorted(scores)[6]
    files = [tmp_path / "neu" / name for name in ("events.jsonl", "verdicts.jsonl", "summary.json")]
    options = ("--threshold", threshold, "--events", files[0], "--verdicts", files[1], "--json", files[2])
    result = run(LINE, *options)
    assert result.exit_code == 0, result.err
    events, verdicts, summary = lines_of(files[0]), lines_of(files[1]), json.loads(files[2].read_text())

    assert [verdict["verdict"] for verdict in verdicts] == ["NG" if score > threshold else "OK" for score in scores]
    assert all(verdict.keys() == VERDICT_KEYS for verdict in verdicts)
    assert all(event.keys() == EVENT_KEYS and event["kind"] == "alert" for event in events)
    raised = [event["frame"] for event in events if event["state"] == "raised"]
    assert raised == [verdict["frame"] for verdict in verdicts if verdict["verdict"] == "NG"]
    assert len({event["id"] for event in events}) == len(raised)
    assert events[0]["bundle"] == bundle.manifest.id

    assert summary.keys() >= SUMMARY_KEYS
    assert (summary["frames"], summary["ng"], summary["alerts"], summary["dropped"]) == (12, 5, 5, 0)
    assert summary["frame_ms"].keys() == {"p50", "p95", "p99", "max", "n"}
    assert summary["engine_ms"] is None
    assert summary["ended"] == "end of source"
    assert "12 frames in" in result.out
    assert "7 OK, 5 NG, 0 without a decision; 5 alerts" in result.out
    assert result.err.count("alert raised: ") == 5


def test_the_engine_is_measured_apart_where_it_is_asked_for(run, tmp_path):
    run(LINE, "--profile", "--json", tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 < summary["engine_ms"]["p50"] <= summary["frame_ms"]["p50"]


def test_without_a_name_it_takes_the_newest_bundle_and_says_so(edgerd, bundle, monkeypatch):
    monkeypatch.chdir(bundle.path.parent)
    lines = edgerd("run", "--camera", LINE, "--max-frames", 1).out.splitlines()
    assert lines[0] == "Bundle: bundle, the newest here."
    assert lines[1].startswith("onnxruntime fp32: ")
    assert lines[2].startswith("NG is a score above ")


def test_no_bundle_here(edgerd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert edgerd("run", "--camera", LINE).exit_code == 3
    assert edgerd("run", "--camera", LINE, "--bundle", "nowhere").exit_code == 3


def test_verdicts_on_stdout_are_alone_there(run):
    result = run(LINE, "--verdicts", "-", "--max-frames", 3)
    assert [json.loads(line)["frame"] for line in result.out.splitlines()] == [0, 1, 2]
    assert "3 frames in" in result.err


def test_a_folder_whose_pictures_differ_in_size_is_judged_whole(run, tmp_path):
    folder = tmp_path / "Bilder von heute"
    folder.mkdir()
    for index, picture in enumerate(parts_of_size(96, 128, 80)):
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    (folder / "3.png").write_bytes(b"not a picture")
    result = run(folder, "--json", tmp_path / "summary.json", "--verdicts", tmp_path / "verdicts.jsonl")
    assert result.exit_code == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["frames"], summary["no_decision"]) == (4, 1)
    last = lines_of(tmp_path / "verdicts.jsonl")[-1]
    assert (last["verdict"], last["source"]) == ("NO_DECISION", str(folder / "3.png"))
    assert "3.png" in last["reason"]


@pytest.mark.parametrize("live", [False, True])
def test_a_frame_of_another_size_in_mid_stream_is_not_judged(run, fake_camera, tmp_path, live):
    fake_camera(parts_of_size(96, 96, 128, 96), live=live, n_frames=None if live else 4)
    run("camera", "--frames", "every", "--verdicts", tmp_path / "verdicts.jsonl")
    verdicts = lines_of(tmp_path / "verdicts.jsonl")
    assert [verdict["verdict"] == "NO_DECISION" for verdict in verdicts] == [False, False, True, False]
    assert verdicts[2]["reason"] == "frame size changed: 128x128, the run began with 96x96"


def test_a_video_is_judged_and_recorded_with_its_heatmaps(run, tmp_path):
    video, recorded = tmp_path / "line.avi", tmp_path / "neu" / "heat.mp4"
    write_video(video, "ring", n_parts=8, n_defective=2, size=96)
    result = run(video, "--save-video", recorded, "--threshold", 0.001)
    assert result.exit_code == 0, result.err
    assert "8 frames in" in result.out
    player = cv2.VideoCapture(str(recorded))
    frames = [player.read()[1] for _ in range(8)]
    assert not player.read()[0]
    player.release()
    assert {frame.shape for frame in frames} == {(96, 96, 3)}
    blue, _, red = frames[0][2, 2].astype(int)
    assert red > blue + 60  # the banner of an NG


@pytest.mark.parametrize("name", ["heat.mkv", "heat"])
def test_a_video_that_cannot_be_written_is_refused_before_the_first_frame(run, tmp_path, name):
    result = run(LINE, "--save-video", tmp_path / name)
    assert result.exit_code == 2
    assert "ends in .mp4 or .avi" in result.err
    assert "frames in" not in result.out


def test_pictures_of_bad_parts_are_kept_and_judged_again_they_are_bad(run, edgerd, bundle, scores, tmp_path):
    threshold = sorted(scores)[6]
    result = run(LINE, "--threshold", threshold, "--save-ng", tmp_path / "bad")
    assert "5 NG" in result.out
    pictures = sorted((tmp_path / "bad").rglob("test/ng/*.png"))
    assert len(pictures) == 5
    edgerd("inspect", bundle.path, *pictures, "--json", tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert sorted(picture["score"] for picture in again["pictures"]) == pytest.approx(sorted(scores)[7:], abs=1e-5)


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


def test_a_lost_camera_ends_with_summary_event_and_its_exit_code(run, fake_camera, tmp_path):
    from edgerd.errors import CameraError

    fake_camera([*parts_of_size(96), CameraError("The cable is gone.")], live=True)
    files = [tmp_path / name for name in ("events.jsonl", "summary.json")]
    result = run("camera", "--frames", "every", "--events", files[0], "--json", files[1])
    assert result.exit_code == 4
    assert "The cable is gone." in result.err
    assert "1 frame in" in result.out
    assert [event["kind"] for event in lines_of(files[0])] == ["camera"]
    assert "The cable is gone." in json.loads(files[1].read_text())["error"]


def test_a_summary_that_cannot_be_written_does_not_hide_a_lost_camera(run, fake_camera):
    from edgerd.errors import CameraError

    fake_camera([*parts_of_size(96), CameraError("The cable is gone.")], live=True)
    result = run("camera", "--frames", "every", "--json", "/dev/full")
    assert result.exit_code == 4
    assert "The cable is gone." in result.err


def test_policies(run, tmp_path):
    alerts = {}
    for policy in ("part", "stream"):
        run(LINE, "--threshold", 0.001, "--policy", policy, "--json", tmp_path / "summary.json")
        alerts[policy] = json.loads((tmp_path / "summary.json").read_text())["alerts"]
    assert alerts == {"part": 12, "stream": 1}


def test_a_log_is_not_flooded(run):
    result = run("sample://ring?n=100&size=96&pool=2")
    assert len(result.err.splitlines()) <= 2


def test_a_terminal_gets_a_status_line(on_terminal, bundle):
    shown, _ = on_terminal("run", "--camera", LINE, "--bundle", bundle.path, "--threshold", 0.001, columns=200)
    assert re.search(
        r"NG \S*\d\.\d{3}.* \(NG > 0\.001\)  \d+ OK, \d+ NG  \d+\.\d fps  alerts \d+  dropped 0  "
        r"p50/p95/p99 [\d./]+ ms, worst \d+\.\d ms",
        shown,
    )
    assert "alert raised: " in shown


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
