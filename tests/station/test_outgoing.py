"""Events on their way out of a station."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerd.errors import EdgerdError
from edgerd.recipe.sinks import JsonlRecord
from edgerd.station.outgoing import opened_sinks


def names_of_open_files() -> set[str]:
    return {link.resolve().name for link in Path("/proc/self/fd").iterdir()}


def test_where_a_sink_does_not_open_those_before_it_are_closed_again(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    good, bad = (JsonlRecord(type="jsonl", path=tmp_path / name) for name in ("events.jsonl", "folder.jsonl"))
    (sink,) = opened_sinks([good], ())
    assert "events.jsonl" in names_of_open_files()
    sink.close()
    with pytest.raises(EdgerdError, match=r"folder\.jsonl"):
        opened_sinks([good, bad], ())
    assert "events.jsonl" not in names_of_open_files()
