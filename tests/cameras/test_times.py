"""Capture times: those of driver or stream where they can be true, never from the future, never going back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.cameras.times import MAX_AGE_S, CaptureClock, Moment

ANYTHING = st.none() | st.floats()


def test_a_frame_is_as_old_as_its_driver_says() -> None:
    captured = CaptureClock().captured(Moment(1000.0, 50.0), 0.25)
    assert captured == Moment(999.75, 49.75)


@pytest.mark.parametrize("age_s", [None, -0.1, MAX_AGE_S + 0.1, -1.7e9, math.nan, math.inf])
def test_what_cannot_be_true_does_not_count(age_s: float | None) -> None:
    arrived = Moment(1000.0, 50.0)
    assert CaptureClock().captured(arrived, age_s) == arrived


def test_unix_time_follows_a_clock_that_is_set_back() -> None:
    clock = CaptureClock()
    clock.captured(Moment(1000.0, 50.0))
    assert clock.captured(Moment(400.0, 51.0), 0.5) == Moment(400.0, 50.5)


@given(st.lists(st.tuples(st.floats(0, 2), ANYTHING)))
def test_times_never_go_back_nor_lie_in_the_future(frames: list[tuple[float, float | None]]) -> None:
    clock, arrived, latest = CaptureClock(), Moment(1e9, 100.0), Moment(0.0, 0.0)
    for pause_s, age_s in frames:
        arrived = Moment(arrived.at + pause_s, arrived.monotonic_s + pause_s)
        captured = clock.captured(arrived, age_s)
        assert latest.at <= captured.at <= arrived.at
        assert latest.monotonic_s <= captured.monotonic_s <= arrived.monotonic_s
        latest = captured
