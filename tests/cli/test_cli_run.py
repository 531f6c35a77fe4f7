"""`edgerd run`: verdicts, alerts and a summary."""

from __future__ import annotations

import json
import re

import cv2
import pytest
from json_lines import lines_of
from run_parts import LINE, parts_of_size

from edgerd.data.samples import write_video

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
    first, n = events[0]["regions"][0], len(events[0]["regions"])
    centre = f"{first['x'] + first['width'] // 2},{first['y'] + first['height'] // 2}"
    assert f" at {centre} ({n} regions)\n" in result.err if n > 1 else f" at {centre}\n" in result.err


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


def test_pictures_of_bad_parts_are_kept_and_judged_again_they_are_bad(run, edgerd, bundle, scores, tmp_path):
    threshold = sorted(scores)[6]
    result = run(LINE, "--threshold", threshold, "--save-ng", tmp_path / "bad")
    assert "5 NG" in result.out
    pictures = sorted((tmp_path / "bad").rglob("test/ng/*.png"))
    assert len(pictures) == 5
    edgerd("inspect", bundle.path, *pictures, "--json", tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert sorted(picture["score"] for picture in again["pictures"]) == pytest.approx(sorted(scores)[7:], abs=1e-5)


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
