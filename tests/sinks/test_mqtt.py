"""MQTT: addresses and topics; delivery is tested with a real broker in test_mqtt_broker.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.errors import InputError
from edgerd.sinks.home_assistant import discovery_messages
from edgerd.sinks.mqtt import MqttSink
from edgerd.sinks.mqtt_broker import topic_level


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mqtt://broker", "mqtt://broker:1883"),
        ("mqtts://broker.example.com", "mqtts://broker.example.com:8883"),
        ("mqtt://127.0.0.1:1999/", "mqtt://127.0.0.1:1999"),
    ],
)
def test_addresses(url: str, name: str) -> None:
    assert MqttSink(url).name == name


@pytest.mark.parametrize(
    "url", ["mqtt://me:geheim@broker", "http://geheim", "broker", "mqtt://", "mqtt://b:geheim", "mqtt://a..geheim"]
)
def test_an_address_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(InputError, match="MQTT broker") as caught:
        MqttSink(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("topic", ["", "/edgerd", "edgerd/", "a//b", "a/+", "#", "$SYS/edgerd", "a\0b"])
def test_topics_that_no_broker_takes(topic: str) -> None:
    with pytest.raises(InputError, match="MQTT topics"):
        MqttSink("mqtt://broker", topic=topic)


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CA file"):
        MqttSink("mqtts://broker", ca_file=tmp_path / "nothing")


@given(names=st.sets(st.text(st.characters(), min_size=1), max_size=5))
def test_a_camera_is_one_level_of_a_topic_and_no_two_are_the_same(names: set[str]) -> None:
    levels = {topic_level(name) for name in names}
    assert len(levels) == len(names)
    for level in levels:
        level.encode()
        assert not set(level) & set("/+#\0")


def test_home_assistant_gets_a_device_with_two_sensors_per_camera() -> None:
    messages = discovery_messages("edgerd", "Linie 1/oben", topic_level("Linie 1/oben"))
    other = discovery_messages("edgerd", "Linie 1 oben", topic_level("Linie 1 oben"))
    topics = [topic for topic, _ in messages + other]
    assert len(set(topics)) == 4
    identifiers = [payload["unique_id"] for _, payload in messages + other]
    assert len(set(identifiers)) == 4
    topic, payload = messages[0]
    assert topic == f"homeassistant/binary_sensor/{payload['device']['identifiers'][0]}/defect/config"
    assert payload["state_topic"] == "edgerd/Linie 1%2Foben/alert"
    assert payload["value_template"] == "{{ 'ON' if value_json.state == 'raised' else 'OFF' }}"
    assert payload["availability_topic"] == "edgerd/status"
    assert payload["device"]["name"] == "Linie 1/oben"
    assert messages[1][1]["state_topic"] == "edgerd/Linie 1%2Foben/camera"
    json.dumps(messages)
