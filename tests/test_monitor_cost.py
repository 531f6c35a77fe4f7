"""`benchmarks/monitor_cost.py`: both of its stretches run, and one of them is scraped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgerd.inspection.inspector import Inspector
from edgerd.monitor import LineSnapshot, server
from edgerd.monitor.metrics import metrics_text

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CAMERA = "sample://ring?size=64"


def test_the_loop_is_timed_with_a_monitor_and_without(inspector: Inspector, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import monitor_cost

    scraped = []

    def counted(snapshot: LineSnapshot) -> bytes:
        scraped.append(snapshot)
        return metrics_text(snapshot)

    monkeypatch.setattr(server, "metrics_text", counted)
    parts, scraper = monitor_cost.sample_parts(CAMERA, 2), monitor_cost.Scraper()
    try:
        alone = monitor_cost.stretch(inspector, parts, 20, None)
        assert not scraped
        watched = monitor_cost.stretch(inspector, parts, 20, scraper)
        assert scraped
    finally:
        scraper.close()
    rows, ratio = monitor_cost.results([alone] * 3, [watched] * 3)
    for name in ("monitor_cost", "machine"):
        del sys.modules[name]
    assert ratio == pytest.approx(watched.cpu_s / alone.cpu_s)
    assert [row["per frame"] for row in rows] == ["wall time", "CPU time"]
