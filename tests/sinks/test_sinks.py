"""The table of sinks: what every one of them must do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sink_parts import free_port

from edgerd.errors import DeliveryError, InputError, MissingDependencyError
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, FrameVerdict
from edgerd.sinks import DELIVERING_SINKS, open_delivering_sink
from edgerd.sinks.jsonl import JsonlSink
from edgerd.sinks.protocol import DeliveringSink
from edgerd.types import Inspection, Verdict

MESSAGES = (
    Alert("1", "raised", "0", 7, "0", captured_at=1.5, decided_at=2.5, score=0.75, threshold=0.5),
    CameraEvent("2", "lost", "0", "It is silent.", 2.5, "b"),
    DeviceEvent("3", "lost", "0", "a GPU", "It is lost.", 2.5, "b"),
    DiskEvent("4", "error", "0", "It is full.", 2.5, "b"),
    FrameVerdict(Inspection(Verdict.OK, 0.1, 0.5), "0", 8, "0", captured_at=1.5, decided_at=2.5, bundle="b"),
)


def test_a_jsonl_sink_takes_every_message_and_closes_twice(tmp_path: Path) -> None:
    sink = JsonlSink(str(tmp_path / "events.jsonl"))
    for message in MESSAGES:
        sink.send(message)
    sink.close()
    sink.close()
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == len(MESSAGES)


EVENTS = [message.to_json() for message in MESSAGES[:4]]
NOBODY = f"127.0.0.1:{free_port()}"


@pytest.fixture(params=DELIVERING_SINKS)
def delivering_sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeliveringSink]:
    """Each sink, with a receiver that is away."""
    targets = {
        "jsonl": str(tmp_path / "logs" / "events.jsonl"),
        "mqtt": f"mqtt://{NOBODY}",
        "webhook": f"http://{NOBODY}/hook",
    }
    (tmp_path / "logs").mkdir()
    sink = open_delivering_sink(request.param, targets[request.param], name="mine")
    if request.param == "jsonl":
        sink.close()
    yield sink
    sink.close()


def test_a_receiver_that_is_away_is_worth_another_try(
    delivering_sink: DeliveringSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerd.sinks.mqtt._CONNECT_S", 0.2)
    with pytest.raises(DeliveryError) as caught:
        delivering_sink.deliver(EVENTS)
    assert caught.value.retryable
    assert caught.value.n_delivered == 0
    assert delivering_sink.name == "mine"
    delivering_sink.close()
    delivering_sink.close()


@pytest.mark.parametrize(
    ("kind", "library", "target"), [("mqtt", "paho.mqtt", "mqtt://a"), ("webhook", "httpx", "https://a")]
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    kind: str, library: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=f"edgerd\\[{kind}\\]"):
        open_delivering_sink(kind, target)


def test_unknown_delivering_sink_names_the_nearest() -> None:
    with pytest.raises(InputError, match="webhook"):
        open_delivering_sink("webhok", "https://a")
