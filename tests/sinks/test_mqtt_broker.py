"""MQTT against a real Mosquitto on loopback, which is stopped, started and cut off in the middle."""

from __future__ import annotations

import json
import queue
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mosquitto import Broker, CuttingProxy, Subscriber
from pydantic import SecretStr
from sink_parts import event, write_certificates

from edgerd.delivery import Deliverer, Outbox
from edgerd.delivery.deliverer import BackOff
from edgerd.errors import DeliveryError
from edgerd.events import Alert, uuid7
from edgerd.sinks.mqtt import MqttSink

pytestmark = pytest.mark.service
USER, PASSWORD = "line", "geheim"


def delivered(sink: MqttSink, batch: list[dict[str, Any]]) -> None:
    """As the deliverer does it: again and again from the first that is not delivered."""
    deadline = time.monotonic() + 30
    while batch:
        try:
            sink.deliver(batch)
        except DeliveryError as error:
            if not error.retryable or time.monotonic() > deadline:
                raise
            batch = batch[error.n_delivered :]
            time.sleep(0.05)
        else:
            return


def test_events_arrive_by_camera_and_kind_and_the_last_is_there_for_whoever_comes_later(
    make_broker: Callable[..., Broker],
) -> None:
    broker = make_broker()
    early = Subscriber(broker.port, "hall/+/alert")
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}", topic="hall")
    events = [event(0, "a"), event(1, "b/c"), event(2, "a", state="cleared")]
    sink.deliver(events)
    got = [early.next() for _ in range(3)]
    assert [(topic, json.loads(payload)) for topic, payload, _ in got] == [
        ("hall/a/alert", events[0]),
        ("hall/b%2Fc/alert", events[1]),
        ("hall/a/alert", events[2]),
    ]
    late = Subscriber(broker.port, "hall/#", "homeassistant/#")
    retained = {topic: payload for topic, payload, is_retained in (late.next() for _ in range(7)) if is_retained}
    assert json.loads(retained["hall/a/alert"]) == events[2]
    assert retained["hall/status"] == "online"
    discovered = [json.loads(payload) for topic, payload in retained.items() if topic.startswith("homeassistant/")]
    assert {found["state_topic"] for found in discovered} >= {"hall/a/alert", "hall/b%2Fc/alert"}
    sink.close()
    assert late.next() == ("hall/status", "offline", False)
    early.close()
    late.close()


def test_the_last_will_says_offline(make_broker: Callable[..., Broker]) -> None:
    broker = make_broker()
    watcher = Subscriber(broker.port, "edgerd/status")
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}", cameras=["a"])
    sink.deliver([event()])
    assert watcher.next()[1] == "online"
    assert sink._client
    connection = sink._client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)
    assert watcher.next()[1] == "offline"
    assert watcher.next()[1] == "online", "it connects again by itself"
    sink.close()
    watcher.close()


def test_nothing_is_lost_or_out_of_order_while_the_broker_comes_and_goes(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    broker = make_broker()
    receiver = Subscriber(broker.port, "edgerd/+/alert")
    outbox = Outbox.open(tmp_path / "outbox", ["broker"], on_warning=print)
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}", name="broker")
    deliverer = Deliverer(outbox, [sink], on_warning=print, back_off=BackOff(0.05, 0.2))
    sent: list[Alert] = []

    def append(n_events: int) -> None:
        for _ in range(n_events):
            number = len(sent)
            sent.append(Alert(uuid7(), "raised", "ab"[number % 2], number, "x", 1.5, 2.5, 0.75, 0.5))
            outbox.append([sent[-1]])
            time.sleep(0.002)

    append(50)
    for number in (signal.SIGTERM, signal.SIGKILL):
        time.sleep(1.2)  # the broker writes its own state once a second
        broker.stop(number)
        append(50)
        broker.start()
        append(50)
    assert outbox.flush(20)
    assert deliverer.close(60)
    outbox.close(10)
    got: dict[str, list[str]] = {"a": [], "b": []}
    while sum(map(len, got.values())) < len(sent):
        payload = json.loads(receiver.next(60)[1])
        if payload["id"] not in got[payload["camera"]]:
            got[payload["camera"]].append(payload["id"])
    for camera, ids in got.items():
        assert ids == [alert.id for alert in sent if alert.camera == camera]
    receiver.close()


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_tls_and_password(make_broker: Callable[..., Broker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, key, certificate = write_certificates(tmp_path)
    other_authority, *_ = write_certificates(tmp_path, "other")
    passwords, rules = tmp_path / "passwords", tmp_path / "rules"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, USER, PASSWORD], check=True, capture_output=True)
    rules.write_text(f"user {USER}\ntopic readwrite edgerd/#\ntopic readwrite homeassistant/#\n")
    broker = make_broker(
        "listener TLS_PORT 127.0.0.1",
        f"certfile {certificate}",
        f"keyfile {key}",
        "allow_anonymous false",
        f"password_file {passwords}",
        f"acl_file {rules}",
    )
    url = f"mqtts://localhost:{broker.tls_port}"
    receiver = Subscriber(broker.port, "edgerd/#", user=USER, password=PASSWORD)

    sink = MqttSink(url, user=USER, password=SecretStr(PASSWORD), ca_file=authority)
    sink.deliver([event(5)])
    assert receiver.next()[:2] == ("edgerd/status", "online")
    assert json.loads(receiver.next()[1])["frame"] == 5
    sink.close()

    sink = MqttSink(url, topic="elsewhere", user=USER, password=SecretStr(PASSWORD), ca_file=authority)
    with pytest.raises(DeliveryError, match="not authorized") as caught:
        sink.deliver([event()])
    assert not caught.value.retryable
    sink.close()

    for settings, reason in (
        ({"user": USER, "password": SecretStr("wrong-geheim"), "ca_file": authority}, "Not authorized|Bad user name"),
        ({"user": USER, "password": SecretStr(PASSWORD), "ca_file": other_authority}, "CERTIFICATE_VERIFY_FAILED"),
    ):
        sink = MqttSink(url, **settings)
        monkeypatch.setattr("edgerd.sinks.mqtt._CONNECT_S", 1.5)
        with pytest.raises(DeliveryError, match=reason) as caught:
            sink.deliver([event()])
        assert caught.value.retryable
        assert PASSWORD not in str(caught.value)
        sink.close()
    receiver.close()


def test_an_event_that_is_too_large_for_the_broker_is_refused_and_the_next_is_not(
    make_broker: Callable[..., Broker],
) -> None:
    broker = make_broker("allow_anonymous true", "max_packet_size 2000")
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}")
    sink.deliver([event(0)])
    with pytest.raises(DeliveryError, match="too large") as caught:
        sink.deliver([event(1), {**event(2), "regions": ["x" * 3000]}])
    assert (caught.value.retryable, caught.value.n_delivered) == (False, 1)
    sink.deliver([event(3)])
    sink.close()


def test_an_acknowledgement_that_is_late_makes_no_second_message(make_broker: Callable[..., Broker]) -> None:
    """The broker is frozen after it was connected: the message is under way, and stays the same one."""
    broker = make_broker()
    receiver = Subscriber(broker.port, "edgerd/+/alert")
    sink = MqttSink(f"mqtt://127.0.0.1:{broker.port}")
    sink.deliver([event(0)])
    assert broker._process
    broker._process.send_signal(signal.SIGSTOP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgerd.sinks.mqtt._ACKNOWLEDGE_S", 0.3)
        late = event(1)
        for _ in range(2):
            with pytest.raises(DeliveryError, match="did not acknowledge") as caught:
                sink.deliver([late, event(2)])
            assert (caught.value.retryable, caught.value.n_delivered) == (True, 0)
    broker._process.send_signal(signal.SIGCONT)
    delivered(sink, [late, event(2)])
    assert [json.loads(receiver.next()[1])["frame"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(queue.Empty):
        receiver.next(0.3)
    sink.close()
    receiver.close()


def test_a_connection_that_is_cut_in_mid_message_loses_nothing(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    chance = random.Random(5)
    broker = make_broker()
    receiver = Subscriber(broker.port, "edgerd/+/alert")
    proxy = CuttingProxy(broker.port, [chance.randint(300, 4000) for _ in range(5)])
    outbox = Outbox.open(tmp_path / "outbox", ["broker"], on_warning=print)
    sink = MqttSink(f"mqtt://127.0.0.1:{proxy.port}", name="broker")
    deliverer = Deliverer(outbox, [sink], on_warning=print, back_off=BackOff(0.05, 0.2))
    sent = [Alert(uuid7(), "raised", "a", number, "x", 1.5, 2.5, 0.75, 0.5) for number in range(100)]
    outbox.append(sent)
    assert outbox.flush(20)
    assert deliverer.close(60)
    outbox.close(10)
    assert not proxy.lengths, "it was not cut often enough"
    got: list[str] = []
    while len(set(got)) < len(sent):
        got.append(json.loads(receiver.next(30)[1])["id"])
    assert list(dict.fromkeys(got)) == [alert.id for alert in sent]
    proxy.close()
    receiver.close()
