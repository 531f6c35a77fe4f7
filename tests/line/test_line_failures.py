"""What a run does when something beside the parts goes wrong: engines, verdict logs, and frames that nobody took."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspection_parts import DEFECTIVE, GOOD, THRESHOLD, make_bundle, picture
from line_parts import run_camera

from edgerd.cameras.fake import FakeCamera
from edgerd.errors import CameraError, DeviceError, DeviceLostError, StorageError
from edgerd.inspection.inspector import Inspector
from edgerd.line.summary import Ended
from edgerd.line.update import Update
from edgerd.runtimes.fake import FakeEngine
from edgerd.runtimes.protocol import Maps
from edgerd.sinks.fake import FakeSink
from edgerd.types import UInt8Array


class FailingEngine(FakeEngine):
    """Raises at one of the frames that it is given."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self._left, self._error = at, error

    def infer(self, frames: UInt8Array) -> Maps:
        if self._left == 0:
            raise self._error
        self._left -= 1
        return super().infer(frames)


def failing(at: int, error: BaseException) -> Inspector:
    return Inspector(make_bundle(), FailingEngine(at, error), THRESHOLD)


@pytest.mark.parametrize(
    ("error", "state"),
    [(DeviceError("It refused to run."), "error"), (DeviceLostError("It is lost."), "lost")],
)
def test_an_engine_that_fails_leaves_event_line_and_summary(error: DeviceError, state: str) -> None:
    events, verdicts = FakeSink(), FakeSink()
    camera = FakeCamera([GOOD, DEFECTIVE, DEFECTIVE, GOOD])
    summary = run_camera(failing(2, error), camera, event_sinks=[events], verdict_sinks=[verdicts])
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NG", "NO_DECISION"]
    assert verdicts.events[-1]["reason"] == error.what
    alert, device = events.events
    assert alert["kind"] == "alert"
    assert (device["kind"], device["state"], device["frame"]) == ("device", state, 2)
    assert device["reason"] == error.what
    assert (summary.frames, summary.no_decision, summary.ended) == (3, 1, Ended.ERROR)
    with pytest.raises(type(error)):
        summary.raise_for_error()


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), KeyboardInterrupt()])
def test_a_bug_and_an_interrupt_leave_the_frame_in_hand_its_line(error: BaseException) -> None:
    verdicts, raised = FakeSink(), None
    try:
        run_camera(failing(1, error), FakeCamera([GOOD, DEFECTIVE, GOOD]), verdict_sinks=[verdicts])
    except ZeroDivisionError as bug:
        raised = bug
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NO_DECISION"]
    assert (raised is error) is isinstance(error, ZeroDivisionError)


def test_a_verdict_log_that_is_full_stops_no_inspection(inspector: Inspector) -> None:
    events, full, other = FakeSink(), FakeSink(capacity=1), FakeSink()
    camera = FakeCamera([GOOD, GOOD, DEFECTIVE, GOOD, DEFECTIVE])
    summary = run_camera(inspector, camera, event_sinks=[events], verdict_sinks=[full, other])
    assert (summary.frames, summary.ng, summary.alerts, summary.error) == (5, 2, 2, None)
    assert summary.ended is Ended.END_OF_SOURCE
    assert (len(full.events), len(other.events)) == (1, 5)
    assert sorted((event["kind"], event["state"]) for event in events.events) == [
        ("alert", "raised"),
        ("alert", "raised"),
        ("disk", "error"),
    ]
    assert summary.warnings == ("4 lines for the verdict log the fake sink were dropped. The fake sink is full.",)


def test_a_verdict_log_that_has_room_again_is_written_on(inspector: Inspector) -> None:
    events, verdicts = FakeSink(), FakeSink(capacity=1)

    def make_room(update: Update) -> None:
        if update.statistics.frames == 3:
            while verdicts.n_refused < 2:
                time.sleep(0.001)
            verdicts.capacity = None

    camera = FakeCamera([GOOD] * 5)
    summary = run_camera(inspector, camera, event_sinks=[events], verdict_sinks=[verdicts], on_update=make_room)
    assert [line["frame"] for line in verdicts.events] == [0, 3, 4]
    assert [(event["kind"], event["state"]) for event in events.events] == [("disk", "error"), ("disk", "back")]
    assert "2 lines" in events.events[1]["reason"]
    assert summary.warnings


def test_a_lost_camera_is_told_of_although_the_verdict_log_is_full(inspector: Inspector) -> None:
    events = FakeSink()
    camera = FakeCamera([GOOD, CameraError("The camera was unplugged.")], live=True)
    run_camera(inspector, camera, event_sinks=[events], verdict_sinks=[FakeSink(capacity=0)], frames="every")
    assert sorted((event["kind"], event["state"]) for event in events.events) == [("camera", "lost"), ("disk", "error")]


ENDS = ["source", "stop", "max_frames", "interrupt", "camera", "device", "events", "bug in the camera"]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 12),
    at=st.integers(1, 6),
    how=st.sampled_from(ENDS),
    newest=st.booleans(),
    unjudged=st.sets(st.integers(0, 12)),
    slow=st.booleans(),
)
def test_frames_that_came_are_judged_undecided_or_dropped(
    n: int, at: int, how: str, newest: bool, unjudged: set[int], slow: bool
) -> None:
    """However a run ends: nothing that a camera gave goes without being counted."""
    given_: list[int] = []
    stop = threading.Event()

    def script() -> Iterator[UInt8Array]:
        for number in range(n):
            given_.append(number)
            yield np.zeros_like(GOOD) if number in unjudged else picture(0.5, number=number)
        if how == "camera":
            raise CameraError("It was unplugged.")
        if how == "bug in the camera":
            raise ZeroDivisionError

    def on_update(update: Update) -> None:
        if slow:
            time.sleep(0.002)
        if how == "stop" and update.statistics.frames == at:
            stop.set()
        if how == "interrupt" and update.statistics.frames == at:
            raise KeyboardInterrupt

    inspector = failing(at, DeviceError("It refused.")) if how == "device" else failing(-1, DeviceError(""))
    verdicts = FakeSink()
    camera = FakeCamera(script(), live=newest)
    try:
        summary = run_camera(
            inspector,
            camera,
            event_sinks=[FakeSink(capacity=at if how == "events" else None)],
            verdict_sinks=[verdicts],
            frames="newest" if newest else "every",
            max_frames=at if how == "max_frames" else None,
            on_update=on_update,
            stop=stop,
        )
    except ZeroDivisionError:
        assert how == "bug in the camera"
        return
    assert len(given_) == summary.ok + summary.ng + summary.no_decision + summary.dropped
    assert summary.frames == summary.ok + summary.ng + summary.no_decision
    assert summary.frames == sum(line["frame"] is not None for line in verdicts.events)


def test_frames_that_came_while_the_last_one_was_judged_are_counted(inspector: Inspector) -> None:
    """A slow inspection of a fast camera that is stopped: 3 judged and 90 dropped of 140 was what it said."""
    came: list[int] = []
    stop = threading.Event()

    def fast() -> Iterator[UInt8Array]:
        for number in range(140):
            time.sleep(0.001)
            came.append(number)
            yield GOOD

    def slow(update: Update) -> None:
        time.sleep(0.05)
        if update.statistics.frames == 2:
            stop.set()

    summary = run_camera(inspector, FakeCamera(fast(), live=True), stop=stop, on_update=slow)
    assert summary.ended is Ended.STOPPED
    assert summary.frames == 2
    assert summary.frames + summary.dropped == len(came)


def test_an_event_sink_that_is_full_still_ends_the_run(inspector: Inspector) -> None:
    """Only the events may: an alert that nobody gets is a defective part that goes by."""
    summary = run_camera(inspector, FakeCamera([DEFECTIVE] * 3), event_sinks=[FakeSink(capacity=0)])
    assert summary.ended is Ended.ERROR
    with pytest.raises(StorageError):
        summary.raise_for_error()
