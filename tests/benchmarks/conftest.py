"""The modules of the benchmark scripts, for tests to import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_MODULES = ("gpu", "gpu_check", "machine", "rig", "faults", "soak")


@pytest.fixture
def on_path(monkeypatch):
    """The modules of the benchmark scripts can be imported, as when one of the scripts is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in _MODULES]:
        del sys.modules[name]


@pytest.fixture
def quick(on_path, monkeypatch):
    """The GPU is not kept busy while its clocks are read."""
    from gpu import card

    monkeypatch.setattr(card, "_BUSY_S", 0.0)
