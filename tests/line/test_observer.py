"""Who watches a line never holds it up, and what is lost is counted and named."""

from __future__ import annotations

import threading
import time

import pytest

from edgerd.errors import StorageError
from edgerd.line import observer
from edgerd.line.observer import Observer


def test_everything_arrives_in_order() -> None:
    taken: list[int] = []
    watching: Observer[int] = Observer("log", taken.append, noun="line", capacity=3)
    for number in range(50):
        watching.put(number, may_wait=True)
    assert watching.close()
    assert taken == list(range(50))
    assert (watching.loss, watching.changes()) == ("", [])


def test_a_disk_that_hangs_costs_a_live_camera_lines_and_no_time() -> None:
    may_go_on, taken = threading.Event(), []

    def hang(number: int) -> None:
        may_go_on.wait()
        taken.append(number)

    watching: Observer[int] = Observer("log", hang, noun="line", capacity=3)
    for number in range(100):
        watching.put(number, may_wait=False)
    ((state, sentence),) = watching.changes()
    assert (state, sentence) == ("error", "The log drops lines. It does not keep up.")
    may_go_on.set()
    assert watching.close()
    assert taken[0] == 0
    assert taken == sorted(taken)
    assert f"{100 - len(taken)} lines for the log were dropped" in watching.loss
    assert watching.changes()[-1][0] == "back"


def test_frames_of_a_file_wait_for_a_disk_that_is_slow_but_not_for_one_that_hangs(monkeypatch) -> None:
    monkeypatch.setattr(observer, "PATIENCE_S", 0.2)
    slow: Observer[int] = Observer("slow", lambda _: time.sleep(0.01), noun="line", capacity=2)
    for number in range(30):
        slow.put(number, may_wait=True)
    assert slow.close()
    assert not slow.loss

    never = threading.Event()
    hangs: Observer[int] = Observer("hangs", lambda _: never.wait(), noun="line", capacity=2)
    for number in range(20):
        hangs.put(number, may_wait=True)
    assert not hangs.close()
    assert hangs.loss == "20 lines for the hangs were dropped. It does not keep up."
    never.set()


def test_failures_are_counted_and_told_once_each_time_they_begin() -> None:
    failing = {1, 2, 5}

    def take(number: int) -> None:
        if number in failing:
            raise StorageError(f"No room for {number}.")

    watching: Observer[int] = Observer("log", take, noun="line", capacity=10)
    for number in range(7):
        watching.put(number, may_wait=True)
    watching.close()
    assert watching.changes() == [
        ("error", "The log drops lines. No room for 1."),
        ("back", "The log is written again. So far 2 lines for the log were dropped. No room for 2."),
        ("error", "The log drops lines. No room for 5."),
        ("back", "The log is written again. So far 3 lines for the log were dropped. No room for 5."),
    ]
    assert watching.changes() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_one_is_told_and_keeps_nobody_from_anything() -> None:

    def bug(_: int) -> None:
        raise ZeroDivisionError

    watching: Observer[int] = Observer("log", bug, noun="line", capacity=2)
    for number in range(9):
        watching.put(number, may_wait=True)
    assert watching.close()
    assert "9 lines" in watching.loss
    assert "ZeroDivisionError" in watching.loss
    ((state, reason),) = watching.changes()
    assert (state, "ZeroDivisionError" in reason) == ("error", True)
