"""Which frames are judged."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from inspection_parts import GOOD

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
    while picked := picker.finish():
        assert picked.frame is None
        received.pop(picked.trigger.id)
    assert not received


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
    rung: list[int] = []
    picker = OnTrigger(timeout_s=0.05, ring=lambda: rung.append(1))
    assert picker.due_s() is None
    now_s = time.monotonic()
    picker.fire(trigger(now_s))
    assert rung == [1]
    assert picker.due_s() == now_s + 0.05
    assert picker.overdue() is None
    time.sleep(0.06)
    picked = picker.overdue()
    assert (picked.frame, picked.reason) == (None, "no frame within 50 ms of the trigger")
    assert picker.overdue() is None
    assert picker.pick(frame(time.monotonic())) is None


def test_a_sender_that_goes_mad_is_answered_at_once_and_fills_no_memory() -> None:
    picker, now_s = OnTrigger(timeout_s=100), time.monotonic()
    for number in range(MAX_WAITING + 2):
        picker.fire(trigger(now_s, str(number)))
    answers = [picker.overdue() for _ in range(3)]
    assert [answer and answer.trigger.id for answer in answers] == [str(MAX_WAITING), str(MAX_WAITING + 1), None]
