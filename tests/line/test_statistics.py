"""Latencies and counts of a run."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.line.statistics import LatencyHistogram, RunStatistics
from edgerd.types import Inspection, Verdict


@given(st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=200), st.sampled_from([0, 1, 50, 95, 99, 100]))
def test_percentiles_are_right_to_half_a_percent(durations_ms: list[float], percent: float) -> None:
    histogram = LatencyHistogram()
    for duration_ms in durations_ms:
        histogram.add(duration_ms)
    exact = np.percentile(durations_ms, percent, method="inverted_cdf")
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.005)
    assert histogram.percentiles()["n"] == len(durations_ms)
    assert histogram.percentiles()["max"] == round(max(durations_ms), 3)


@given(st.floats(0, 1e9))
def test_durations_outside_the_bins_are_counted_at_their_ends(duration_ms: float) -> None:
    histogram = LatencyHistogram()
    histogram.add(duration_ms)
    assert histogram.percentiles()["n"] == 1
    assert histogram.percentile(50) <= duration_ms


def test_nothing_measured_is_null() -> None:
    assert LatencyHistogram().percentiles() == {"p50": None, "p95": None, "p99": None, "max": None, "n": 0}


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    statistics = RunStatistics()
    inspection = Inspection(Verdict.OK, 0.5, 1.0, frame_ms=12.3, engine_ms=5.0)

    def run(n_frames: int) -> int:
        for number in range(n_frames):
            statistics.count(inspection, 10 + number % 100)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    warm = run(1000)
    assert run(20_000) - warm < 10_000
    tracemalloc.stop()


def test_frames_that_were_not_judged_do_not_flatter_the_latency() -> None:
    statistics = RunStatistics()
    statistics.count(Inspection(Verdict.NG, 2.0, 1.0, frame_ms=20.0), 30.0)
    statistics.count(Inspection(Verdict.NO_DECISION, None, 1.0, reason="black frame", frame_ms=0.1), 0.2)
    assert (statistics.frames, statistics.ng, statistics.no_decision) == (2, 1, 1)
    assert statistics.frame_ms.percentiles()["n"] == 1
