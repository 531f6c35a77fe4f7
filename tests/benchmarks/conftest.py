"""The modules of the benchmark scripts, for tests to import."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_MODULES = ("gpu", "gpu_check", "machine", "rig", "faults", "soak")


@pytest.fixture
def on_path(monkeypatch):
    """The modules of the benchmark scripts can be imported, as when one of the scripts is run.

    Other tests have modules of the same names (`tests/faults`), which come back afterwards.
    """
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    others = _taken_out()
    yield
    _taken_out()
    sys.modules.update(others)


def _taken_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in _MODULES]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def quick(on_path, monkeypatch):
    """The GPU is not kept busy while its clocks are read."""
    from gpu import card

    monkeypatch.setattr(card, "_BUSY_S", 0.0)
