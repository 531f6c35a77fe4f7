"""What a snapshot says of a line: its durations, its health, whether it is ready."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshots import camera, line

from edgerd.line.statistics import LatencyHistogram
from edgerd.monitor.snapshot import BUCKETS_MS, STALLED_AFTER_S, CameraState, Latencies, SinkSnapshot
from edgerd.types import Verdict

durations_ms = st.floats(0.01, 60_000)


def histogram(durations: list[float]) -> LatencyHistogram:
    filled = LatencyHistogram()
    for duration in durations:
        filled.add(duration)
    return filled


@given(st.lists(durations_ms, max_size=50))
def test_durations_are_counted_in_the_buckets_that_they_belong_to(durations):
    latencies = Latencies.of(histogram(durations))
    assert latencies.n == len(durations)
    assert latencies.sum_ms == pytest.approx(sum(durations), rel=0.006)
    for bound, count in zip(BUCKETS_MS, latencies.cumulative, strict=True):
        assert sum(d <= bound * 0.99 for d in durations) <= count <= sum(d <= bound * 1.01 for d in durations)


@given(st.lists(durations_ms, min_size=1, max_size=20), st.lists(durations_ms, min_size=1, max_size=20))
def test_what_is_counted_never_falls(earlier, later):
    """Prometheus takes a fall for a restart, and would count everything twice."""
    filled = histogram(earlier)
    before = Latencies.of(filled)
    for duration in later:
        filled.add(duration)
    after = Latencies.of(filled)
    assert after.sum_ms > before.sum_ms
    assert all(new >= old for new, old in zip(after.cumulative, before.cumulative, strict=True))
    assert list(after.cumulative) == sorted(after.cumulative)


def test_a_snapshot_stays_as_it_was_while_the_run_goes_on():
    filled = histogram([5.0])
    before = Latencies.of(filled)
    filled.add(7.0)
    assert (before.n, before.percentiles["n"]) == (1, 1)


def test_a_camera_counts_all_the_frames_that_were_looked_at():
    seen = camera(verdicts=[Verdict.OK, Verdict.NG, Verdict.NG, Verdict.NO_DECISION])
    assert (seen.ok, seen.ng, seen.no_decision, seen.frames) == (1, 2, 1, 4)
    assert (seen.dropped, seen.alerts, seen.held_back) == (3, 1, 2)
    assert seen.frame_ms.n == seen.capture_to_verdict_ms.n == 3  # those that were judged
    assert seen.frame_ms.percentiles["p50"] == pytest.approx(8.0, rel=0.01)


def test_a_line_that_judges_is_healthy():
    turning = line(last_turn_monotonic_s=100.0)
    assert turning.unhealthy(100.0 + STALLED_AFTER_S) == ()


def test_a_line_that_is_still_starting_is_healthy_and_not_ready():
    starting = line(
        last_turn_monotonic_s=None, is_warm=False, cameras=(camera("left", CameraState.STARTING, verdicts=()),)
    )
    assert starting.unhealthy(1e9) == ()
    assert starting.not_ready() == ("The engines are not warm yet.", "Camera left has not given a frame yet.")


def test_a_line_that_makes_no_turn_is_stuck():
    (reason,) = line(last_turn_monotonic_s=100.0).unhealthy(100.0 + STALLED_AFTER_S + 2)
    assert "stuck for 12 s" in reason


def test_everything_that_is_wrong_is_named():
    troubled = line(
        last_turn_monotonic_s=0.0,
        reasons=("The disk is full.",),
        cameras=(camera("left", CameraState.LOST), camera("right")),
        sinks=(SinkSnapshot("broker", 7, "Connection refused."), SinkSnapshot("alerts.jsonl", 0)),
    )
    assert troubled.unhealthy(0.0) == (
        "The disk is full.",
        "Camera left is lost.",
        "Sink broker takes no events, 7 are waiting: Connection refused.",
    )


def test_a_line_is_ready_once_each_camera_has_given_a_frame():
    both = line(cameras=(camera("left"), camera("right", CameraState.STARTING, verdicts=())))
    assert both.not_ready() == ("Camera right has not given a frame yet.",)
    # what came later does not make it less ready: health says that
    assert line(cameras=(camera("left", CameraState.LOST), camera("right", CameraState.ENDED))).not_ready() == ()
