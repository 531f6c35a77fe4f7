"""The table of sinks: what every one of them must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerd.errors import InputError
from edgerd.sinks import SINKS, open_sink
from edgerd.sinks.protocol import Sink


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    targets = {"jsonl": str(tmp_path / "events.jsonl")}
    return open_sink(request.param, targets[request.param])


def test_every_sink_takes_events_and_closes_twice(sink: Sink) -> None:
    sink.send({"kind": "alert", "id": "1", "score": 0.5})
    sink.send({"kind": "camera", "id": "2"})
    sink.close()
    sink.close()


def test_unknown_sink_names_the_nearest() -> None:
    with pytest.raises(InputError, match="jsonl"):
        open_sink("json", "events.json")
