"""The table of sinks: what every one of them must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerd.errors import InputError
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, FrameVerdict
from edgerd.sinks import SINKS, open_sink
from edgerd.sinks.protocol import Sink
from edgerd.types import Inspection, Verdict

MESSAGES = (
    Alert("1", "raised", "0", 7, "0", captured_at=1.5, decided_at=2.5, score=0.75, threshold=0.5),
    CameraEvent("2", "lost", "0", "It is silent.", 2.5, "b"),
    DeviceEvent("3", "lost", "0", "a GPU", "It is lost.", 2.5, "b"),
    DiskEvent("4", "error", "0", "It is full.", 2.5, "b"),
    FrameVerdict(Inspection(Verdict.OK, 0.1, 0.5), "0", 8, "0", captured_at=1.5, decided_at=2.5, bundle="b"),
)


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    targets = {"jsonl": str(tmp_path / "events.jsonl")}
    return open_sink(request.param, targets[request.param])


def test_every_sink_takes_every_message_and_closes_twice(sink: Sink) -> None:
    for message in MESSAGES:
        sink.send(message)
    sink.close()
    sink.close()


def test_unknown_sink_names_the_nearest() -> None:
    with pytest.raises(InputError, match="jsonl"):
        open_sink("json", "events.json")
