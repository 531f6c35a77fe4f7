"""Which frames are judged."""

from __future__ import annotations

import time
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspection_parts import GOOD

from edgerd.errors import CameraError
from edgerd.line.pick import MAX_WAITING, EveryNth, OnTrigger
from edgerd.triggers import Trigger
from edgerd.types import Frame


def frame(captured_s: float, number: int = 0) -> Frame:
    return Frame(GOOD, number=number, captured_monotonic_s=captured_s)


def trigger(received_s: float, name: str = "t") -> Trigger:
    return Trigger("camera", name, None, received_s, 0.0)


@given(st.integers(1, 9), st.lists(st.integers(0, 200), unique=True, max_size=60).map(sorted))
def test_of_n_frames_one_is_judged_whichever_were_dropped(n: int, numbers: list[int]) -> None:
    picker = EveryNth(n)
    judged = [number for number in numbers if picker.pick(frame(number, number))]
    assert [number // n for number in judged] == sorted({number // n for number in numbers})


@given(st.lists(st.tuples(st.sampled_from(["frame", "trigger"]), st.integers(0, 3)), max_size=60))
def test_each_trigger_gets_one_frame_that_came_after_it(steps: list[tuple[str, int]]) -> None:
    picker, now_s, n_triggers = OnTrigger(timeout_s=1e9), time.monotonic(), 0
    answers: list[tuple[float, float]] = []
    received: dict[str, float] = {}
    frames_after: dict[str, int] = {}
    for kind, later_s in steps:
        now_s += later_s
        if kind == "trigger":
            received[str(n_triggers)] = now_s
            frames_after[str(n_triggers)] = 0
            picker.fire(trigger(now_s, str(n_triggers)))
            n_triggers += 1
            continue
        picked = picker.pick(frame(now_s))
        if picked and picked.trigger and picked.frame:
            answers.append((received.pop(picked.trigger.id), picked.frame.captured_monotonic_s))
        elif received:
            assert min(received.values()) > now_s
    assert all(asked_s <= captured_s for asked_s, captured_s in answers)
    assert [asked_s for asked_s, _ in answers] == sorted(asked_s for asked_s, _ in answers)
    for picked in picker.refuse("the camera has ended"):
        assert (picked.frame, picked.reason) == (None, "the camera has ended")
        received.pop(picked.trigger.id)
    assert not received
    with pytest.raises(CameraError, match="takes no trigger: the camera has ended"):
        picker.fire(trigger(now_s, "late"))
    assert picker.refuse("again") == []


def test_a_frame_from_before_the_trigger_is_not_its_frame() -> None:
    picker = OnTrigger(timeout_s=1)
    picker.fire(trigger(100.0))
    assert picker.pick(frame(99.9)) is None
    assert picker.pick(frame(100.1)) is not None
    assert picker.pick(frame(100.2)) is None


def test_a_damaged_frame_is_the_answer_to_the_trigger_that_it_came_for() -> None:
    picker = OnTrigger(timeout_s=1)
    picker.fire(trigger(1.0))
    picked = picker.pick(frame(2.0), "cut off")
    assert picked is not None
    assert (picked.reason, picked.trigger.id) == ("cut off", "t")


def test_a_trigger_that_gets_no_frame_in_time_is_answered_without_one() -> None:
    picker = OnTrigger(timeout_s=0.05)
    assert picker.due_s() is None
    now_s = time.monotonic()
    picker.fire(trigger(now_s))
    assert picker.due_s() == now_s + 0.05
    assert picker.overdue() is None
    time.sleep(0.06)
    picked = picker.overdue()
    assert (picked.frame, picked.reason) == (None, "no frame within 50 ms of the trigger")
    assert picker.overdue() is None
    assert picker.pick(frame(time.monotonic())) is None


def test_a_frame_that_came_too_late_for_a_trigger_is_not_its_frame_but_may_be_that_of_the_next() -> None:
    picker = OnTrigger(timeout_s=1)
    picker.fire(trigger(1.0, "old"))
    picker.fire(trigger(2.5, "new"))
    picked = picker.pick(frame(2.6))
    assert picked is not None
    assert picked.trigger.id == "new"
    overdue = picker.overdue()
    assert (overdue.trigger.id, overdue.frame) == ("old", None)
    assert picker.due_s() is None


@given(st.floats(0, 1e6), st.floats(0.001, 600))
def test_what_is_due_is_overdue_to_the_last_bit(received_s: float, timeout_s: float) -> None:
    """Else the line would look for a frame that is not there, and take the camera for lost."""
    picker = OnTrigger(timeout_s)
    picker.fire(trigger(received_s))
    due_s = picker.due_s()
    with mock.patch("edgerd.line.pick.time.monotonic", return_value=due_s):
        assert picker.overdue() is not None


def test_a_sender_that_goes_mad_is_answered_at_once_and_fills_no_memory() -> None:
    picker, now_s = OnTrigger(timeout_s=100), time.monotonic()
    for number in range(MAX_WAITING + 2):
        picker.fire(trigger(now_s, str(number)))
    answers = [picker.overdue() for _ in range(3)]
    assert [answer and answer.trigger.id for answer in answers] == [str(MAX_WAITING), str(MAX_WAITING + 1), None]
