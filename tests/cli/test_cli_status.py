"""The status line of a run: what is left out where the terminal is narrow, and what never is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.cli.status import StatusLine, _Seen, status_text
from edgerd.line.statistics import RunStatistics
from edgerd.line.update import Update
from edgerd.types import Frame, Inspection, Verdict


def seen_of(verdict, ok, ng, no_decision, worst_ms, reason=""):
    statistics = RunStatistics(frames=ok + ng + no_decision, ok=ok, ng=ng, no_decision=no_decision)
    statistics.frame_ms.add(worst_ms)
    return _Seen(verdict, reason or "0.512", 0.456, statistics)


@given(
    verdict=st.sampled_from(Verdict),
    ok=st.integers(0, 999_999),
    ng=st.integers(0, 9_999),
    no_decision=st.integers(0, 9_999),
    worst_ms=st.floats(0.1, 9_999),
    reason=st.sampled_from(["", "black frame", "too dark: mean grey level 12, good ones have 30 to 60"]),
    columns=st.integers(60, 160),
)
def test_counts_and_the_worst_latency_are_never_left_out(verdict, ok, ng, no_decision, worst_ms, reason, columns):
    line = status_text(seen_of(verdict, ok, ng, no_decision, worst_ms, reason), columns)
    assert line.cell_len <= columns
    assert f"{ok} OK, {ng} NG" in line.plain
    assert (f"{no_decision} undecided" in line.plain) is (no_decision > 0)
    assert line.plain.endswith(f"worst {round(worst_ms, 3):.1f} ms")


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (
            120,
            "OK 0.512 (NG > 0.456)  1203 OK, 12 NG  0.0 fps  alerts 0  dropped 0  p50/p95/p99 9.0/9.0/9.0 ms, worst "
            "9.0 ms",
        ),
        (80, "OK 0.512  1203 OK, 12 NG  0.0 fps  alerts 0  dropped 0  worst 9.0 ms"),
        (60, "OK 0.512  1203 OK, 12 NG  0.0 fps  alerts 0  worst 9.0 ms"),
        (40, "OK 0.512  1203 OK, 12 NG  worst 9.0 ms"),
        (34, "OK  1203 OK, 12 NG  worst 9.0 ms"),
    ],
)
def test_what_matters_least_goes_first(columns, shown):
    assert status_text(seen_of(Verdict.OK, 1203, 12, 0, 9.0), columns).plain == shown


def test_a_log_has_a_line_for_each_camera(capfd):
    """One that comes first each time must not keep the others out."""
    inspection = Inspection(Verdict.OK, 0.1, 0.5, (), None, "", 1.0, None)
    statistics = {name: RunStatistics(frames=2, ok=2) for name in ("left", "right")}
    with StatusLine(name_cameras=True) as status:
        for name in ("left", "right", "left", "right"):
            status.update(Update(name, Frame(np.zeros((4, 4, 3), np.uint8)), inspection, None, statistics[name]))
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["left", "right"]
    assert all("2 OK, 0 NG" in line for line in lines)
