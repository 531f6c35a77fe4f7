"""Parts between a PLC's program and edgerd, with delays and restarts: `benchmarks/modbus_handshake.py`, but short."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def handshake(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import modbus_handshake

    yield modbus_handshake
    for name in ("modbus_handshake", "modbus_plcs", "machine"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", ["server", "client"])
def test_without_faults_every_part_gets_its_own_result(handshake, monkeypatch, kind: str) -> None:
    monkeypatch.setattr(handshake, "ALIVE_TIMEOUT_S", 60.0)
    tally = handshake.run(kind, parts=100, seed=1, faults=0.0, hangs=0)
    assert len(tally.results) == len(tally.triggers) == tally.parts == 100
    assert (tally.lost, tally.wrong, tally.twice, tally.trigger_errors) == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["server", "client"])
def test_with_restarts_of_either_side_no_part_gets_another_result(handshake, monkeypatch, kind: str) -> None:
    monkeypatch.setattr(handshake, "ALIVE_TIMEOUT_S", 60.0)
    tally = handshake.run(kind, parts=100, seed=2, faults=0.02, hangs=0)
    assert tally.plc_restarts > 0
    assert tally.edgerd_restarts > 0
    assert (tally.without_result, tally.wrong, tally.twice, tally.trigger_errors) == (0, 0, 0, 0)
    assert tally.lost <= tally.edgerd_restarts
    assert tally.lost_in_plc <= tally.plc_restarts


@pytest.mark.parametrize("kind", ["server", "client"])
def test_a_line_that_hangs_is_seen_by_the_plc_which_ends_the_part(handshake, kind: str) -> None:
    tally = handshake.run(kind, parts=4, seed=3, faults=0.0, hangs=1)
    assert len(tally.hangs) == 1
    assert tally.lost >= 1
    assert (tally.without_result, tally.wrong, tally.twice) == (0, 0, 0)
