"""The loop of a run."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from inspection_parts import BLACK, DEFECTIVE, GOOD, THRESHOLD, make_bundle, picture
from line_parts import run_camera

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec
from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.ffmpeg import VideoFile
from edgerd.cameras.files import FilesCamera
from edgerd.errors import CameraError, SpecError, StorageError
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import StreamPolicy
from edgerd.line.summary import Ended
from edgerd.line.update import Update
from edgerd.runtimes.fake import FakeEngine
from edgerd.sinks.fake import FakeSink
from edgerd.types import Frame, UInt8Array, Verdict

SUMMARY_KEYS = {
    "engine_ms", "frame_ms", "capture_to_verdict_ms", "frames", "dropped", "skipped", "no_decision", "without_frame",
    "alerts", "runtime", "precision", "device", "threads",
    "ok", "ng", "held_back", "elapsed_s", "threshold", "camera", "bundle", "ended", "warnings", "error",
}  # fmt: skip


def living(*pictures: UInt8Array, fps: float = 30.0) -> list[Frame]:
    """Frames of a live camera: no two alike, times of their own."""
    return [
        Frame(data | (number % 2), number=number, captured_monotonic_s=number / fps, source="live://")
        for number, data in enumerate(pictures)
    ]


def test_parts_one_after_the_other(inspector: Inspector) -> None:
    events, verdicts = FakeSink(), FakeSink()
    camera = FakeCamera([GOOD, DEFECTIVE, BLACK, DEFECTIVE, GOOD], n_frames=5)
    summary = run_camera(inspector, camera, event_sinks=[events], verdict_sinks=[verdicts])

    assert (summary.frames, summary.ok, summary.ng, summary.no_decision) == (5, 2, 2, 1)
    assert (summary.alerts, summary.dropped, summary.ended) == (2, 0, Ended.END_OF_SOURCE)
    assert summary.warnings == ()
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NG", "NO_DECISION", "NG", "OK"]
    assert [line["reason"] for line in verdicts.events] == ["", "", "black frame", "", ""]
    assert [line["frame"] for line in verdicts.events] == [0, 1, 2, 3, 4]
    assert [(event["kind"], event["state"], event["frame"]) for event in events.events] == [
        ("alert", "raised", 1),
        ("alert", "raised", 3),
    ]
    assert len({event["id"] for event in events.events}) == 2
    assert events.events[0]["regions"]
    assert events.events[0]["bundle"] == "b" * 64
    assert camera.closed.is_set()
    assert not events.closed


def test_summary_has_the_keys_of_the_contract(inspector: Inspector) -> None:
    summary = run_camera(inspector, FakeCamera([GOOD, BLACK])).to_json()
    assert set(summary) == SUMMARY_KEYS
    assert json.loads(json.dumps(summary)) == summary
    assert summary["engine_ms"] is None
    assert summary["frame_ms"].keys() == {"p50", "p95", "p99", "max", "n"}
    assert summary["frame_ms"]["n"] == 1
    assert (summary["runtime"], summary["precision"], summary["device"]) == ("fake", "fp32", "fake")


def test_profile_counts_the_engine(inspector: Inspector) -> None:
    summary = run_camera(inspector, FakeCamera([GOOD, GOOD, BLACK]), profile=True)
    assert summary.engine_ms is not None
    assert summary.engine_ms["n"] == 2
    assert summary.engine_ms["max"] <= summary.frame_ms["max"]


def test_live_camera_gets_the_stream_policy_and_a_clear_has_the_id_of_its_raise(inspector: Inspector) -> None:
    events = FakeSink()
    frames = living(GOOD, DEFECTIVE, DEFECTIVE, DEFECTIVE, GOOD, GOOD, DEFECTIVE, DEFECTIVE)
    summary = run_camera(inspector, FakeCamera(frames, live=True), event_sinks=[events], frames="every")
    assert [(event["state"], event["frame"], event["reason"]) for event in events.events] == [
        ("raised", 1, ""),
        ("cleared", 4, ""),
        ("raised", 6, ""),
        ("cleared", 6, "the run has ended: end of source"),
    ]
    first, cleared, second, closed = (event["id"] for event in events.events)
    assert first == cleared < second == closed
    assert summary.alerts == 2


def test_policy_may_be_chosen(inspector: Inspector) -> None:
    summary = run_camera(inspector, FakeCamera([DEFECTIVE] * 5), StreamPolicy(k=5, n=5))
    assert summary.alerts == 1


def test_slow_inspection_of_a_live_camera_drops_old_frames_and_judges_the_newest(inspector: Inspector) -> None:
    taken = threading.Event()

    def script() -> Iterator[UInt8Array]:
        yield GOOD
        taken.wait(10)
        for number in range(1, 50):
            yield picture(number=number)

    seen: list[int] = []

    def slow(update: Update) -> None:
        seen.append(update.frame.number)
        taken.set()
        time.sleep(0.2)

    summary = run_camera(inspector, FakeCamera(script(), live=True), on_update=slow)
    assert seen[0] == 0
    assert seen[-1] == 49
    assert summary.frames + summary.dropped == 50
    assert summary.dropped > 0


def test_max_frames_reads_not_one_more(inspector: Inspector) -> None:
    endless = itertools.repeat(GOOD)
    summary = run_camera(inspector, FakeCamera(endless), max_frames=7)
    assert (summary.frames, summary.ended) == (7, Ended.MAX_FRAMES)


def test_stop_ends_the_run_with_its_summary(inspector: Inspector) -> None:
    stop = threading.Event()

    def at_three(update: Update) -> None:
        if update.statistics.frames == 3:
            stop.set()

    summary = run_camera(inspector, FakeCamera(itertools.repeat(GOOD)), stop=stop, on_update=at_three)
    assert (summary.frames, summary.ended) == (3, Ended.STOPPED)
    summary.raise_for_error()


def test_stop_ends_the_run_of_a_camera_that_is_faster_than_the_engine(inspector: Inspector) -> None:
    stop, seen = threading.Event(), []

    def slow(update: Update) -> None:
        seen.append(update.frame.number)
        if len(seen) == 3:
            stop.set()
        time.sleep(0.02)  # meanwhile the camera goes on: a frame is always there

    def fast() -> Iterator[UInt8Array]:
        for _ in range(1000):
            time.sleep(0.001)
            yield GOOD

    summary = run_camera(inspector, FakeCamera(fast(), live=True), stop=stop, on_update=slow)
    assert (len(seen), summary.ended) == (3, Ended.STOPPED)


@pytest.mark.parametrize("live", [False, True])
def test_ctrl_c_ends_the_run_with_its_summary(inspector: Inspector, live: bool) -> None:
    def interrupt(update: Update) -> None:
        raise KeyboardInterrupt

    camera = FakeCamera(itertools.repeat(GOOD), live=live)
    summary = run_camera(inspector, camera, on_update=interrupt)
    assert (summary.frames, summary.ended) == (1, Ended.INTERRUPTED)
    assert camera.closed.is_set()


def test_lost_camera_ends_the_run_with_a_summary_and_is_neither_good_nor_bad(inspector: Inspector) -> None:
    events, verdicts = FakeSink(), FakeSink()
    script = [*living(GOOD), CameraError("The camera was unplugged.")]
    summary = run_camera(inspector, FakeCamera(script, live=True), event_sinks=[events], verdict_sinks=[verdicts])
    assert (summary.frames, summary.ok, summary.ended) == (1, 1, Ended.ERROR)
    assert summary.to_json()["error"] == "The camera was unplugged."
    with pytest.raises(CameraError, match="unplugged"):
        summary.raise_for_error()
    assert verdicts.events[-1]["verdict"] == "NO_DECISION"
    assert verdicts.events[-1]["reason"] == "camera lost: The camera was unplugged."
    assert verdicts.events[-1]["frame"] is None
    assert [(event["kind"], event["state"]) for event in events.events] == [("camera", "lost")]


def test_frozen_live_camera_is_not_judged(inspector: Inspector) -> None:
    def frozen() -> Iterator[Frame]:
        for number in range(40):
            yield Frame(GOOD, number=number, captured_monotonic_s=number / 10)

    live = run_camera(inspector, FakeCamera(frozen(), live=True), frames="every")
    assert (live.ok, live.no_decision) == (20, 20)
    assert run_camera(inspector, FakeCamera(frozen())).ok == 40


def test_frame_of_another_size_in_mid_stream_is_not_judged_and_the_run_goes_on(inspector: Inspector) -> None:
    verdicts = FakeSink()
    larger = picture(0.5, height=96, width=128)
    run_camera(inspector, FakeCamera([GOOD, larger, DEFECTIVE]), verdict_sinks=[verdicts])
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NO_DECISION", "NG"]
    assert verdicts.events[1]["reason"] == "frame size changed: 128x96, the run began with 64x48"


def test_pictures_of_a_folder_may_differ_in_size_and_a_broken_one_stops_nothing(
    inspector: Inspector, tmp_path: Path
) -> None:
    pictures = [GOOD, picture(0.5, height=96, width=128), GOOD, picture(0.5)]
    for number, data in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), data)
    (tmp_path / "2.png").write_bytes(b"not a picture")
    verdicts, updates = FakeSink(), []
    summary = run_camera(inspector, FilesCamera(str(tmp_path)), verdict_sinks=[verdicts], on_update=updates.append)
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NG", "NO_DECISION", "NG"]
    assert "2.png" in verdicts.events[2]["reason"]
    assert verdicts.events[2]["source"] == str(tmp_path / "2.png")
    assert (summary.frames, summary.no_decision, summary.ended) == (4, 1, Ended.END_OF_SOURCE)
    assert [update.frame.data.size > 0 for update in updates] == [True, True, False, True]


def test_region_that_leaves_a_picture_is_that_pictures_problem_but_a_cameras_end(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=32, width=32, region=RegionSpec(x=0, y=0, width=64, height=48))
    inspector = Inspector(make_bundle(spec), FakeEngine(), THRESHOLD)
    small = picture(height=20, width=20)
    pictures = run_camera(inspector, FakeCamera([GOOD, small, GOOD], fixed_size=False))
    assert (pictures.ok, pictures.no_decision) == (2, 1)
    video = run_camera(inspector, FakeCamera([small, small]))
    assert (video.frames, video.no_decision) == (1, 1)
    with pytest.raises(SpecError, match="leaves the frame"):
        video.raise_for_error()


def test_a_live_camera_that_was_switched_to_another_size_is_the_cameras_error(tmp_path: Path) -> None:
    """Not the user's input, for which a service would not be started again: it may be switched back."""
    spec = PreprocessSpec(height=32, width=32, region=RegionSpec(x=0, y=0, width=64, height=48))
    inspector = Inspector(make_bundle(spec), FakeEngine(), THRESHOLD)
    events, verdicts = FakeSink(), FakeSink()
    camera = FakeCamera([picture(height=20, width=20)] * 2, live=True)
    summary = run_camera(inspector, camera, event_sinks=[events], verdict_sinks=[verdicts], frames="every")
    with pytest.raises(CameraError, match="leaves the frame"):
        summary.raise_for_error()
    assert [(line["verdict"], line["frame"]) for line in verdicts.events] == [("NO_DECISION", 0)]
    assert [(event["kind"], event["state"]) for event in events.events] == [("camera", "error")]


def test_events_that_cannot_be_written_end_the_run_with_its_summary(inspector: Inspector) -> None:
    verdicts = FakeSink()
    camera = FakeCamera([DEFECTIVE] * 5)
    summary = run_camera(inspector, camera, event_sinks=[FakeSink(capacity=2)], verdict_sinks=[verdicts])
    assert (summary.frames, summary.ended) == (3, Ended.ERROR)
    with pytest.raises(StorageError):
        summary.raise_for_error()
    assert [line["verdict"] for line in verdicts.events] == ["NG"] * 3  # the one that could not be told of, too


def test_a_video_that_was_cut_short_is_lost_and_not_finished(inspector: Inspector, tmp_path: Path) -> None:
    path = tmp_path / "line.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(40):
        writer.write(noise.integers(100, 156, (48, 64, 3), dtype=np.uint8))
    writer.release()
    whole = run_camera(inspector, VideoFile(str(path)))
    assert (whole.frames, whole.warnings) == (40, ())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    verdicts = FakeSink()
    cut = run_camera(inspector, VideoFile(str(path)), verdict_sinks=[verdicts])
    with pytest.raises(CameraError, match=f"ended after {cut.frames} of the 40 frames it announces"):
        cut.raise_for_error()
    assert verdicts.events[-1]["verdict"] == "NO_DECISION"


def test_a_container_that_announces_a_little_too_much_is_no_loss(inspector: Inspector) -> None:
    summary = run_camera(inspector, FakeCamera([GOOD] * 37, n_frames=40, uri="line.mkv"))
    assert summary.ended is Ended.END_OF_SOURCE
    assert summary.warnings == ("line.mkv ended after 37 of the 40 frames it announces.",)


def test_update_tells_what_happened(inspector: Inspector) -> None:
    updates: list[Update] = []
    run_camera(inspector, FakeCamera([GOOD, DEFECTIVE]), on_update=updates.append)
    good, defective = updates
    assert good.alert is None
    assert good.inspection.verdict is Verdict.OK
    assert defective.alert is not None
    assert defective.alert.score == defective.inspection.score == 0.5
    assert defective.statistics.frames == 2
    assert defective.statistics.frames_per_s > 0
