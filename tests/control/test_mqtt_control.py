"""The control over MQTT, with a real Mosquitto on loopback that is stopped, started and cut off."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_parts import judged_at_once, until, verdict
from mosquitto import Broker, Subscriber
from pydantic import SecretStr

from edgerd.control import Commands
from edgerd.control.fake import FakeLine
from edgerd.control.mqtt import MqttControl

pytestmark = pytest.mark.service


def connected(commands: Commands, broker: Broker, **settings: Any) -> MqttControl:
    control = MqttControl(commands, f"mqtt://127.0.0.1:{broker.port}", **settings)
    until(lambda: control.failure is None)
    return control


def publish(broker: Broker, topic: str, payload: str = "", *, retain: bool = False) -> None:
    """As others do it: with the command that comes with Mosquitto; returns when the broker has the message."""
    message = ["-m", payload] if payload else ["-n"]
    retained = ["-r"] if retain else []
    words = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", topic, *message, *retained]
    subprocess.run(words, check=True, timeout=20)


def next_of(subscriber: Subscriber) -> tuple[str, Any, bool]:
    topic, payload, is_retained = subscriber.next()
    return topic, json.loads(payload), is_retained


def test_a_trigger_gets_its_verdict_which_is_not_retained(
    make_broker: Callable[..., Broker], watched: FakeLine
) -> None:
    broker = make_broker()
    plc = Subscriber(broker.port, "edgerd/+/verdict")
    control = connected(judged_at_once(watched), broker)
    publish(broker, "edgerd/right/trigger/set")
    publish(broker, "edgerd/right/trigger/set", '{"id": "part 1", "product": 7}')
    (first, second) = next_of(plc), next_of(plc)
    assert [first[0], second[0]] == ["edgerd/right/verdict"] * 2
    assert [first[1]["id"], second[1]["id"]] == [None, "part 1"]
    assert [trigger.product for trigger in watched.cameras["right"].triggers] == [None, 7]
    assert second[1]["trigger"] == watched.cameras["right"].triggers[1].id
    assert second[1]["verdict"] == "OK"
    late = Subscriber(broker.port, "edgerd/+/verdict")
    publish(broker, "edgerd/right/trigger/set", '{"id": "part 2"}')
    assert next_of(late)[1]["id"] == "part 2"
    control.close()
    control.close()
    plc.close()
    late.close()


def test_a_sender_that_repeats_itself_gets_the_first_answer(
    make_broker: Callable[..., Broker], watched: FakeLine
) -> None:
    broker = make_broker()
    plc = Subscriber(broker.port, "edgerd/+/verdict")
    control = connected(judged_at_once(watched), broker)
    for _ in range(2):
        publish(broker, "edgerd/right/trigger/set", '{"id": "part 1"}')
    assert next_of(plc) == next_of(plc)
    assert len(watched.cameras["right"].triggers) == 1
    control.close()
    plc.close()


def test_a_change_over_is_kept_for_whoever_comes_later(make_broker: Callable[..., Broker], watched: FakeLine) -> None:
    broker = make_broker()
    control = connected(Commands(watched), broker)
    early = Subscriber(broker.port, "edgerd/left/product")
    assert next_of(early)[1] == {"camera": "left", "product": "bottle", "number": 1}
    publish(broker, "edgerd/left/product/set", '{"product": "can"}')
    assert next_of(early)[1]["product"] == "can"
    late = Subscriber(broker.port, "edgerd/+/product")
    messages = [next_of(late) for _ in range(3)]
    told = {topic: (product["product"], is_retained) for topic, product, is_retained in messages}
    assert told == {
        "edgerd/left/product": ("can", True),
        "edgerd/right/product": ("bottle", True),
        "edgerd/above/product": ("default", True),
    }
    who, what = watched.commands[0]
    assert (who, what) == (
        f"MQTT at mqtt://127.0.0.1:{broker.port}",
        "Camera left inspects the product can; before, it was bottle.",
    )
    control.close()
    early.close()
    late.close()


def test_a_change_over_of_another_way_is_told_too(make_broker: Callable[..., Broker], watched: FakeLine) -> None:
    broker = make_broker()
    commands = Commands(watched)
    control = connected(commands, broker)
    watcher = Subscriber(broker.port, "edgerd/left/product")
    assert next_of(watcher)[1]["product"] == "bottle"
    commands.change_product("left", b'{"product": "jar"}', "HTTP")
    assert next_of(watcher)[1] == {"camera": "left", "product": "jar", "number": None}
    control.close()
    watcher.close()


def test_what_is_refused_is_answered(make_broker: Callable[..., Broker], watched: FakeLine) -> None:
    broker = make_broker()
    plc = Subscriber(broker.port, "hall/+/verdict", "hall/+/error")
    control = connected(Commands(watched), broker, topic="hall")
    for camera, payload, reason in (
        ("right", '{"id": "a", "product": "bottel"}', "Did you mean 'bottle'"),
        ("left", "", "is not triggered over MQTT"),
        ("rihgt", "", "Did you mean 'right'"),
        ("..", "", "There is no camera '..'"),
        ("right", "{", "a JSON object"),
        ("right", "x" * 5000, "too large"),
    ):
        publish(broker, f"hall/{camera}/trigger/set", payload)
        topic, answer, _ = next_of(plc)
        assert topic == f"hall/{camera}/verdict"
        assert (answer["verdict"], answer["trigger"]) == ("NO_DECISION", None)
        assert reason in answer["reason"]
        assert answer["id"] == ("a" if '"a"' in payload else None)
    publish(broker, "hall/left/product/set", '{"product": "bottel"}')
    topic, answer, _ = next_of(plc)
    assert (topic, answer["camera"]) == ("hall/left/error", "left")
    assert "Did you mean 'bottle'" in answer["error"]
    assert not any(camera.triggers or camera.changes for camera in watched.cameras.values())
    control.close()
    plc.close()


def test_a_line_that_fails_is_answered_and_the_next_command_taken(
    make_broker: Callable[..., Broker], watched: FakeLine
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("boom")

    broker = make_broker()
    plc = Subscriber(broker.port, "edgerd/+/verdict")
    commands = Commands(watched)
    watched.cameras["right"].on_fire = fail
    control = connected(commands, broker)
    publish(broker, "edgerd/right/trigger/set")
    answer = next_of(plc)[1]
    assert (answer["verdict"], answer["reason"]) == ("NO_DECISION", "This failed inside edgerd: boom.")
    watched.cameras["right"].on_fire = lambda trigger: commands.publish(verdict(trigger), trigger)
    publish(broker, "edgerd/right/trigger/set")
    assert next_of(plc)[1]["verdict"] == "OK"
    control.close()
    plc.close()


def test_a_retained_trigger_makes_no_part_whenever_the_line_starts(
    make_broker: Callable[..., Broker], watched: FakeLine
) -> None:
    broker = make_broker()
    publish(broker, "edgerd/right/trigger/set", '{"id": "old"}', retain=True)
    publish(broker, "edgerd/left/product/set", '{"product": "can"}', retain=True)
    for _ in range(2):
        control = connected(judged_at_once(watched), broker)
        plc = Subscriber(broker.port, "edgerd/+/verdict")
        publish(broker, "edgerd/right/trigger/set", '{"id": "new"}')
        assert next_of(plc)[1]["id"] == "new"
        control.close()
        plc.close()
    assert len(watched.cameras["right"].triggers) == 2
    assert not watched.cameras["left"].changes


def test_a_trigger_that_was_sent_while_there_was_no_connection_makes_no_part(
    make_broker: Callable[..., Broker], watched: FakeLine
) -> None:
    broker = make_broker()
    control = connected(judged_at_once(watched), broker)
    plc = Subscriber(broker.port, "edgerd/+/verdict")
    connection = control._client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)
    until(lambda: control.failure)
    publish(broker, "edgerd/right/trigger/set", '{"id": "gone by"}')
    until(lambda: control.failure is None)
    publish(broker, "edgerd/right/trigger/set", '{"id": "new"}')
    assert next_of(plc)[1]["id"] == "new"
    assert len(watched.cameras["right"].triggers) == 1
    control.close()
    plc.close()


def test_a_broker_that_goes_and_comes_back(make_broker: Callable[..., Broker], watched: FakeLine) -> None:
    """A verdict that was found meanwhile arrives, and the product that is told is the one of now."""
    broker = make_broker()
    commands = Commands(watched)
    control = connected(commands, broker)
    plc = Subscriber(broker.port, "edgerd/right/verdict")
    publish(broker, "edgerd/right/trigger/set", '{"id": "part 1"}')
    until(lambda: watched.cameras["right"].triggers)
    broker.stop()
    until(lambda: control.failure)
    (trigger,) = watched.cameras["right"].triggers
    commands.publish(verdict(trigger), trigger)
    for product in ("can", "jar"):
        commands.change_product("left", json.dumps({"product": product}).encode(), "HTTP")
    time.sleep(1.5)  # it is refused at least once
    broker.start()
    assert next_of(plc)[1]["id"] == "part 1"
    until(lambda: control.failure is None)
    late = Subscriber(broker.port, "edgerd/left/product")
    assert next_of(late)[1]["product"] == "jar"
    control.close()
    plc.close()
    late.close()


def test_it_waits_for_a_broker_that_is_not_there_yet(make_broker: Callable[..., Broker], watched: FakeLine) -> None:
    broker = make_broker()
    broker.stop()
    control = MqttControl(judged_at_once(watched), f"mqtt://127.0.0.1:{broker.port}")
    until(lambda: control.failure and "refused" in control.failure)
    broker.start()
    until(lambda: control.failure is None)
    control.close()


def test_what_a_broker_refuses_is_told_without_secrets(
    make_broker: Callable[..., Broker], watched: FakeLine, tmp_path: Path
) -> None:
    passwords, rules = tmp_path / "passwords", tmp_path / "rules"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "line", "geheim"], check=True, capture_output=True)
    rules.write_text("user line\ntopic readwrite edgerd/#\n")
    broker = make_broker("allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}")
    commands = Commands(watched)
    control = connected(commands, broker, user="line", password=SecretStr("geheim"))
    control.close()
    control = MqttControl(commands, f"mqtt://127.0.0.1:{broker.port}", user="line", password=SecretStr("wrong-geheim"))
    until(lambda: control.failure and "refuses" in control.failure)
    assert "geheim" not in str(control.failure)
    control.close()
