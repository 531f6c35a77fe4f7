"""`edgerd run`: no defect is lost where something beside the inspection fails, stalls or goes away."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from json_lines import lines_of

from edgerd.cameras.fake import FakeCamera
from edgerd.data.samples import line_parts
from edgerd.errors import CameraError, DeviceError, DeviceLostError

LINE = "sample://ring?n=12&defective=0.5&size=96"
LIVE = "sample://ring?live=1&pool=2&size=96"
ALL_NG = ("--threshold", 0.001)
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is always full")


@pytest.fixture
def live_line(monkeypatch, run, tmp_path):
    """Opens a live camera that shows good and defective parts in turn, and a threshold between them."""
    parts = line_parts("ring", 40, 0.5, seed=3, size=96)
    good = next(part.part.picture for part in parts if part.part.mask is None or not part.part.mask.any())
    bad = next(part.part.picture for part in parts if part.part.mask is not None and part.part.mask.any())
    for name, picture in (("a.png", good), ("b.png", bad)):
        (tmp_path / "two").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "two" / name), picture)
    run(tmp_path / "two", "--verdicts", tmp_path / "two.jsonl")
    low, high = (line["score"] for line in lines_of(tmp_path / "two.jsonl"))
    threshold = low + 0.7 * (high - low)

    def frames():
        for number in range(30):
            yield (bad if number % 3 == 1 else good) ^ (number % 2)  # a live camera's frames are never the same

    monkeypatch.setattr("edgerd.cli.run_cameras.open_camera", lambda uri: FakeCamera(frames(), uri=uri, live=True))
    return ("--threshold", threshold, "--frames", "every", "--max-frames", 30)


def test_parts_that_show_for_one_frame_of_a_live_camera_are_an_alert_each(run, live_line, tmp_path):
    result = run("0", *live_line, "--events", tmp_path / "events.jsonl")
    assert result.exit_code == 0, result.err
    assert "10 NG" in result.out
    assert "10 alerts, 0 dropped" in result.out
    states = [event["state"] for event in lines_of(tmp_path / "events.jsonl")]
    assert states.count("raised") == 10


def test_what_a_confirmation_holds_back_is_counted_and_said(run, live_line, tmp_path):
    files = [tmp_path / "events.jsonl", tmp_path / "summary.json"]
    result = run("0", *live_line, "--confirm", "2/3", "--events", files[0], "--json", files[1])
    assert "0 alerts (10 NG held back by --confirm)" in result.out
    assert lines_of(files[0]) == []
    summary = json.loads(files[1].read_text())
    assert (summary["ng"], summary["alerts"], summary["held_back"]) == (10, 0, 10)


@pytest.mark.parametrize("text", ["3", "3/2", "0/3", "two/three", "1/2/3", "-1/2"])
def test_a_confirmation_that_makes_no_sense_is_refused(run, text):
    result = run(LINE, "--confirm", text)
    assert result.exit_code == 2
    assert "such as 2/3" in result.err


def test_parts_of_files_cannot_be_confirmed(run):
    result = run(LINE, "--confirm", "2/3")
    assert result.exit_code == 2
    assert "is a part of its own" in result.err
    assert "--policy stream" in result.err
    assert run(LINE, "--confirm", "2/3", "--policy", "stream").exit_code == 0


def test_a_live_camera_says_what_its_false_alarm_rate_means_per_minute(run):
    result = run(LIVE, "--max-frames", 40)
    said = re.findall(r"rate of (\S+) % per frame means, at (\S+) frames per second, about (\S+) good", result.out)
    ((rate, fps, per_minute),) = said
    assert float(per_minute) == pytest.approx(float(rate) / 100 * float(fps) * 60, rel=0.06)
    assert result.err.count("good frames a minute") == 1  # as soon as the rate is known
    assert "a minute" not in run(LINE).out


@needs_dev_full
@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_video_that_cannot_be_written_is_said_and_stops_nothing(run, tmp_path, suffix):
    video, summary = tmp_path / f"o{suffix}", tmp_path / "summary.json"
    video.symlink_to("/dev/full")
    result = run(LINE, "--save-video", video, "--json", summary)
    assert result.exit_code == 0
    assert "12 frames in" in result.out
    assert "The run goes on without it" in result.err
    (warning,) = json.loads(summary.read_text())["warnings"]
    assert warning == f"{video} could not be written: the disk is full. None of 12 frames is in it."
    assert warning in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(("suffix", "largest"), [(".avi", 20_000), (".avi", 23_500), (".mp4", 7_000), (".mp4", 8_000)])
def test_a_video_that_breaks_off_says_how_much_is_missing(run, tmp_path, suffix, largest):
    import resource

    video, whole = tmp_path / f"o{suffix}", tmp_path / f"whole{suffix}"
    assert run(LINE, "--save-video", whole).exit_code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        result = run(LINE, "--save-video", video)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.exit_code == 0
    (lost,) = re.findall(r"(\d+) of 12 frames are not in it", result.err)
    assert 0 < int(lost) < 12
    # Of the last frame there may be a part, which players show.
    same = [np.array_equal(*two) for two in zip(pictures_of(video), pictures_of(whole), strict=False)]
    assert same.count(True) == 12 - int(lost)


def pictures_of(video):
    player = cv2.VideoCapture(str(video))
    found = []
    while (read := player.read())[0]:
        found.append(read[1])
    return found


def test_a_video_that_may_not_be_written_is_refused_before_the_first_frame(run, tmp_path):
    (tmp_path / "o.avi").mkdir()
    result = run(LINE, "--save-video", tmp_path / "o.avi")
    assert result.exit_code == 1
    assert "could not be written" in result.err
    assert "frames in" not in result.out


@needs_dev_full
def test_a_verdict_log_on_a_full_disk_is_said_and_stops_nothing(run, tmp_path):
    events = tmp_path / "events.jsonl"
    result = run(LINE, *ALL_NG, "--verdicts", "/dev/full", "--events", events)
    assert result.exit_code == 0
    assert "12 frames in" in result.out
    assert "12 lines for the verdict log /dev/full were dropped" in result.err
    kinds = [event["kind"] for event in lines_of(events)]
    assert (kinds.count("disk"), kinds.count("alert")) == (1, 12)


@needs_dev_full
def test_events_on_a_full_disk_end_the_run(run):
    result = run(LINE, *ALL_NG, "--events", "/dev/full")
    assert result.exit_code == 1
    assert "the disk is full" in result.err
    assert "1 frame in" in result.out


def test_a_camera_that_cannot_be_opened_leaves_an_event(run, bundle, tmp_path):
    events = tmp_path / "logs" / "events.jsonl"
    assert run("nowhere.mp4", "--events", events).exit_code == 4
    (event,) = lines_of(events)
    assert (event["kind"], event["state"], event["camera"]) == ("camera", "error", "nowhere.mp4")
    assert "There is no camera or file nowhere.mp4" in event["reason"]
    assert event["bundle"] == bundle.manifest.id
    assert event["captured_at"] is None


def test_an_event_file_that_is_full_does_not_hide_that_the_camera_is_missing(run):
    result = run("nowhere.mp4", "--events", "/dev/full")
    assert result.exit_code == 4
    assert "There is no camera or file" in result.err


@pytest.mark.parametrize(("error", "state"), [(DeviceError, "error"), (DeviceLostError, "lost")])
def test_a_device_that_cannot_be_used_leaves_an_event(run, tmp_path, monkeypatch, error, state):
    def fail(*_, **__):
        raise error("The CUDA driver is not ready yet.")

    monkeypatch.setattr("edgerd.cli.run_cameras.Inspector.open", fail)
    assert run(LINE, "--events", tmp_path / "events.jsonl").exit_code == 1
    (event,) = lines_of(tmp_path / "events.jsonl")
    assert (event["kind"], event["state"]) == ("device", state)
    assert "not ready" in event["reason"]


def test_a_live_camera_that_is_lost_is_opened_again_and_the_run_goes_on(run, monkeypatch, tmp_path):
    (part,) = line_parts("ring", 1, 0.0, seed=3, size=96)
    opened = []

    def open_fake(uri):
        opened.append(uri)
        return FakeCamera([part.part.picture, CameraError("The cable is gone.")], uri=uri, live=True)

    monkeypatch.setattr("edgerd.cli.run_cameras.open_camera", open_fake)
    files = [tmp_path / "events.jsonl", tmp_path / "verdicts.jsonl"]
    result = run("0", "--frames", "every", "--max-frames", 3, "--events", files[0], "--verdicts", files[1])
    assert result.exit_code == 0, result.err
    assert len(opened) >= 3
    events = lines_of(files[0])
    assert [event["state"] for event in events][:4] == ["lost", "back", "lost", "back"]
    assert all(0 < event["captured_at"] <= event["decided_at"] for event in events)
    assert events[0]["reason"] == "The cable is gone."
    assert re.fullmatch(r"It gives frames again after \d+\.\d s\.", events[1]["reason"])
    verdicts = [line["verdict"] for line in lines_of(files[1])]
    assert verdicts == ["OK", "NO_DECISION", "OK", "NO_DECISION", "OK"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_terminal_that_is_closed_ends_the_run_with_summary_and_a_whole_video(start, tmp_path):
    video = tmp_path / "o.mp4"
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may themselves run under nohup
    try:
        process = start(LIVE, "--verdicts", "-", "--save-video", video, "--json", tmp_path / "summary.json")
    finally:
        signal.signal(signal.SIGHUP, before)
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    frames = json.loads((tmp_path / "summary.json").read_text())["frames"]
    assert int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)) == frames >= 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_nohup_goes_on_after_its_terminal(edgerd_process, bundle, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the process inherits that, as from nohup
    try:
        process = edgerd_process("run", "--camera", LIVE, "--bundle", bundle.path, "--verdicts", "-")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    for _ in range(20):
        assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_readers_that_go_away_end_no_run(start, tmp_path):
    """`edgerd run ... 2>&1 | head -1`."""
    verdicts, summary = tmp_path / "verdicts.jsonl", tmp_path / "summary.json"
    process = start(LINE, *ALL_NG, "--verdicts", verdicts, "--json", summary, stderr=subprocess.STDOUT)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=60) == 0
    assert len(lines_of(verdicts)) == 12
    assert json.loads(summary.read_text())["alerts"] == 12


def test_a_reader_of_verdicts_that_goes_away_ends_no_run(start, tmp_path):
    """They are counted, as those that a full disk does not take."""
    process = start("sample://ring?n=400&size=96&pool=2", "--verdicts", "-", "--json", tmp_path / "summary.json")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    err = process.stderr.read()
    assert "Traceback" not in err
    assert "lines for the verdict log - were dropped" in err
    assert json.loads((tmp_path / "summary.json").read_text())["frames"] == 400


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot ask a pipe")
def test_a_reader_of_the_status_that_stops_reading_stops_nothing(start, tmp_path):
    """Ctrl-S in the terminal, or a pager."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    verdicts = tmp_path / "verdicts.jsonl"
    process = start(
        "sample://ring?n=50&size=96&pool=2", "--policy", "part", "--verdicts", verdicts, *ALL_NG, stderr=writer
    )
    assert process.wait(timeout=60) == 0
    assert len(lines_of(verdicts)) == 50
    os.close(reader)
    os.close(writer)


def test_a_reader_of_events_that_goes_away_ends_the_run(start):
    """Alerts that nobody gets are no alerts."""
    process = start("sample://ring?pool=2&size=96", *ALL_NG, "--events", "-")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    err = process.stderr.read()
    assert "Traceback" not in err
    assert "could not be written" in err
