"""The heartbeat: it goes on while the line says that it is alive, and from then on stands still."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.errors import InputError
from edgerd.sinks.heartbeat import Heartbeat

INTERVALS = st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=50)


@given(INTERVALS)
def test_nothing_but_the_line_moves_it(intervals: list[float]) -> None:
    heartbeat, now_s = Heartbeat(1.0), 0.0
    for interval_s in intervals:
        now_s += interval_s
        before = heartbeat.count
        heartbeat.alive(now_s)
        assert heartbeat.count - before in (0, 1)
        count = heartbeat.count
        assert heartbeat.is_alive(now_s)
        assert heartbeat.is_alive(now_s + 0.9)
        assert not heartbeat.is_alive(now_s + 1.1)
        assert heartbeat.count == count


@given(st.lists(st.floats(min_value=0, max_value=0.49), min_size=1, max_size=200))
def test_a_line_that_calls_often_enough_is_never_taken_for_dead(intervals: list[float]) -> None:
    """A PLC takes a heartbeat that has not moved for the whole time-out for dead."""
    heartbeat, now_s, moved_s, count = Heartbeat(1.0), 0.0, 0.0, 0
    for interval_s in intervals:
        now_s += interval_s
        assert now_s - moved_s < 1.0
        heartbeat.alive(now_s)
        if heartbeat.count != count:
            count, moved_s = heartbeat.count, now_s


def test_it_begins_again_after_65535() -> None:
    heartbeat = Heartbeat(1.0)
    for now_s in range(0x10000):
        heartbeat.alive(now_s)
    assert heartbeat.count == 0


def test_a_line_that_has_never_said_so_is_not_alive() -> None:
    assert not Heartbeat(1.0).is_alive(0.0)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 61.0, float("nan"), float("inf")])
def test_a_timeout_that_a_register_cannot_hold_is_refused(timeout_s: float) -> None:
    with pytest.raises(InputError, match="heartbeat"):
        Heartbeat(timeout_s)
