"""What the control over MQTT makes of messages, without a broker."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from control_parts import judged_at_once
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edgerd.control import Commands
from edgerd.control.fake import FakeLine
from edgerd.control.mqtt import MqttControl
from edgerd.errors import MissingDependencyError


class _Client:
    """Stands in for paho's: takes note of what is published, and takes only so much."""

    def __init__(self, room: int) -> None:
        self.published: list[tuple[str, Any]] = []
        self._room = room

    def publish(self, topic: str, payload: str, **_: object) -> SimpleNamespace:
        if len(self.published) == self._room:
            return SimpleNamespace(rc=MQTTErrorCode.MQTT_ERR_QUEUE_SIZE)
        self.published.append((topic, json.loads(payload)))
        return SimpleNamespace(rc=MQTTErrorCode.MQTT_ERR_NO_CONN)


@pytest.fixture
def alone(watched: FakeLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[MqttControl]:
    """A control that never gets a connection."""
    monkeypatch.setattr("paho.mqtt.client.Client.loop_start", lambda client: None)
    control = MqttControl(judged_at_once(watched), "mqtt://192.0.2.1")
    with monkeypatch.context() as patch:
        patch.setattr(control, "_client", _Client(room=2))
        yield control
    control.close()


def test_a_broker_that_lets_nobody_listen_is_named(alone: MqttControl) -> None:
    for identifiers, failure in (
        ([1, 135], "mqtt://192.0.2.1:1883 lets nobody command here: Not authorized."),
        ([1, 1], None),
    ):
        reasons = [ReasonCode(PacketTypes.SUBACK, identifier=identifier) for identifier in identifiers]
        alone._on_subscribe(alone._client, None, 1, reasons, None)
        assert alone.failure == failure


def come(control: MqttControl, topic: str, payload: bytes = b"", *, retain: bool = False) -> None:
    """As the library hands a message over."""
    message = SimpleNamespace(topic=topic, payload=payload, retain=retain)
    control._on_message(control._client, None, message)  # type: ignore[arg-type]


def test_answers_that_find_no_room_are_counted(alone: MqttControl) -> None:
    for _ in range(5):
        come(alone, "edgerd/right/trigger/set")
    assert alone.lost_answers == 3


def test_a_message_that_is_marked_as_retained_is_ignored(alone: MqttControl, watched: FakeLine) -> None:
    """By a broker that does not heed the wish not to be sent such messages."""
    come(alone, "edgerd/right/trigger/set", retain=True)
    assert not watched.cameras["right"].triggers
    come(alone, "edgerd/right/trigger/set")
    assert len(watched.cameras["right"].triggers) == 1


def test_a_camera_whose_name_is_no_level_of_a_topic_is_found(alone: MqttControl, watched: FakeLine) -> None:
    watched.cameras["a/b"] = watched.cameras.pop("right")
    come(alone, "edgerd/a%2Fb/trigger/set")
    assert [trigger.camera for trigger in watched.cameras["a/b"].triggers] == ["a/b"]


def test_whatever_comes_has_one_answer_and_reaches_no_other_camera(
    alone: MqttControl, watched: FakeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    @given(
        level=st.sampled_from(["right", "left", "..", "right%2F"]) | st.text(st.characters(exclude_characters="/+#\0")),
        body=st.binary(max_size=60) | st.text(max_size=20).map(lambda text: json.dumps({"product": text}).encode()),
    )
    def check(level: str, body: bytes) -> None:
        client = _Client(room=10)
        monkeypatch.setattr(alone, "_client", client)
        fired = len(watched.cameras["right"].triggers)
        come(alone, f"edgerd/{level}/trigger/set", body)
        ((topic, answer),) = client.published
        assert topic == f"edgerd/{level}/verdict"
        is_taken = answer["verdict"] == "OK"
        assert len(watched.cameras["right"].triggers) == fired + is_taken
        assert level == "right" or not is_taken

    check()
    assert not watched.cameras["left"].triggers
    assert not watched.cameras["above"].triggers


def test_the_library_is_named_with_its_extra(watched: FakeLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(MissingDependencyError) as error:
        MqttControl(Commands(watched), "mqtt://127.0.0.1")
    assert error.value.hint == 'pip install "edgerd[mqtt]"'
