"""Events to an MQTT broker, delivered when it has acknowledged them (QoS 1, PUBACK)."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from edgerd.errors import DeliveryError
from edgerd.sinks.home_assistant import discovery_messages
from edgerd.sinks.mqtt_broker import KEEP_ALIVE_S, Broker, end_client, topic_level

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

ONLINE: Final = "online"
OFFLINE: Final = "offline"
_CONNECT_S, _ACKNOWLEDGE_S, _DISCONNECT_S = 5.0, 10.0, 2.0
_HEADER_BYTES = 64
"""More than what a PUBLISH packet has beside topic and payload."""
_FIRST_FAILURE: Final = 128
_FOR_GOOD: Final = {
    135: "it is not authorized to",
    144: "the topic's name is not valid there",
    153: "the payload's format is not valid there",
}
"""Reason codes of MQTT 5 (section 3.4.2.1) with which a broker refuses the message itself, not just now."""


class MqttSink:
    """Publishes each event as JSON, retained, at `<topic>/<camera>/<kind>`: `edgerd/line-1/alert`.

    Whoever subscribes later gets the last event of each kind and camera at once, marked as retained. In a camera's name
    `%`, `/`, `+`, `#` and control characters are written as `%2F` and so on. `<topic>/status` is `online` or, by the
    broker's last will, `offline`. Home Assistant finds every camera by itself; see `edgerd.sinks.home_assistant`.

    The connection is made by the first `deliver` and then kept; the library connects again by itself. One message at a
    time is under way. One whose acknowledgement did not come in time is not published a second time when it is
    delivered again: the library repeats it after a reconnection, marked as a duplicate. It is MQTT 5, since a broker of
    MQTT 3 acknowledges what it throws away.

    Args:
        url: `mqtt://host`, or `mqtts://host` for TLS with the certificate and host name checked; a port may follow.
        name: What the outbox calls it; by default the address.
        topic: Begin of all topics. Two processes at one broker need two of them.
        cameras: Names of the cameras that Home Assistant is to know at once; others it knows from their first event.
        user: For brokers that ask for it; None for none.
        password: For that user.
        ca_file: Certificates (PEM) to trust instead of the system's, for a broker with one of its own.

    Raises:
        InputError: Address, topic or file cannot be used.
        MissingDependencyError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        topic: str = "edgerd",
        cameras: Iterable[str] = (),
        user: str | None = None,
        password: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._broker = Broker(url, topic=topic, user=user, password=password, ca_file=ca_file)
        self.name = name or self._broker.name
        self._topic = self._broker.topic
        self._cameras = dict.fromkeys(cameras)

        self._client: Client | None = None
        self._changed = threading.Condition()
        self._is_up = False
        self._refusal = "there is no answer"
        self._largest_bytes: int | None = None
        self._acknowledged: dict[int, int] = {}
        self._under_way: tuple[Mapping[str, Any], int] | None = None

    def deliver(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Publish events one after another; returns when the broker has acknowledged all of them.

        Args:
            batch: JSON forms of events.

        Raises:
            DeliveryError: The broker could not be reached, did not acknowledge in time, or refused.
        """
        n_delivered = 0
        try:
            client = self._connected()
            for event in batch:
                self._publish(client, event)
                n_delivered += 1
        except DeliveryError as error:
            error.n_delivered = n_delivered
            raise

    def close(self) -> None:
        """Say that it is offline, and disconnect; safe to call twice."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            self._wait_for(client.publish(self._status_topic, OFFLINE, qos=1, retain=True).mid, _DISCONNECT_S)
        end_client(client)

    @property
    def _status_topic(self) -> str:
        return f"{self._topic}/status"

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self._new_client()
            self._client.connect_async(self._broker.host, self._broker.port, keepalive=KEEP_ALIVE_S)
            self._client.loop_start()
        client = self._client
        with self._changed:
            is_connected = self._changed.wait_for(client.is_connected, _CONNECT_S)
        if not is_connected:
            raise self._not_now(f"There is no connection to {self.name}: {self._refusal}.")
        return client

    def _new_client(self) -> Client:
        client = self._broker.new_client()
        client.connect_timeout = _CONNECT_S
        client.will_set(self._status_topic, OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _publish(self, client: Client, event: Mapping[str, Any]) -> None:
        """Publish an event, or wait for it where it is under way already; returns when it is acknowledged."""
        if self._under_way is not None and self._under_way[0] == event:
            message = self._under_way[1]
        else:
            self._announce(client, str(event["camera"]))
            topic = f"{self._topic}/{topic_level(str(event['camera']))}/{event['kind']}"
            payload = json.dumps(event, allow_nan=False).encode()
            self._check_size(topic, payload)
            with self._changed:
                self._acknowledged.clear()  # of messages that nobody waits for; their numbers are used again
            message = client.publish(topic, payload, qos=1, retain=True).mid
            self._under_way = event, message
        reason = self._wait_for(message, _ACKNOWLEDGE_S)
        if reason is None:
            raise self._not_now(f"{self.name} did not acknowledge an event within {_ACKNOWLEDGE_S:g} s.")
        self._under_way = None
        if reason >= _FIRST_FAILURE:
            cause = _FOR_GOOD.get(reason, f"reason code {reason} of MQTT 5")
            raise DeliveryError(f"{self.name} refused an event: {cause}.", retryable=reason not in _FOR_GOOD)

    def _check_size(self, topic: str, payload: bytes) -> None:
        """A broker hangs up on a packet that is too large for it, and would do so again and again."""
        n_bytes = len(topic.encode()) + len(payload) + _HEADER_BYTES
        if self._largest_bytes is not None and n_bytes > self._largest_bytes:
            raise DeliveryError(
                f"An event of {n_bytes} bytes is too large for {self.name}.",
                retryable=False,
                expected=f"at most {self._largest_bytes} bytes, the broker's own limit",
            )

    def _wait_for(self, message: int, timeout_s: float) -> int | None:
        """The reason code with which a message was acknowledged; None where that does not come in time."""
        with self._changed:
            self._changed.wait_for(lambda: message in self._acknowledged, timeout_s)
            return self._acknowledged.pop(message, None)

    def _announce(self, client: Client, camera: str) -> None:
        """Make a camera known to Home Assistant before its first event."""
        if camera not in self._cameras:
            self._cameras[camera] = None
            self._publish_discovery(client, camera)

    def _publish_discovery(self, client: Client, camera: str) -> None:
        for topic, payload in discovery_messages(self._topic, camera, topic_level(camera)):
            client.publish(topic, json.dumps(payload), qos=1, retain=True)

    def _not_now(self, what: str) -> DeliveryError:
        return DeliveryError(what, retryable=True, expected="an MQTT 5 broker that answers and lets this user publish")

    # The library calls these on its own thread.

    def _on_connect(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            with self._changed:
                self._refusal = f"it is refused ({reason})"
            return
        client.publish(self._status_topic, ONLINE, qos=1, retain=True)
        for camera in list(self._cameras):
            self._publish_discovery(client, camera)
        with self._changed:
            self._is_up = True
            self._largest_bytes = getattr(properties, "MaximumPacketSize", None)
            self._changed.notify_all()

    def _on_connect_fail(self, client: Client, _: Any) -> None:
        with self._changed:
            # The library calls this while it handles the error, and does not pass it on.
            self._refusal = f"it fails ({sys.exc_info()[1]})"

    def _on_disconnect(
        self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            if self._is_up:  # else it was refused, which says more
                self._refusal = f"it was lost ({reason})"
            self._is_up = False

    def _on_publish(self, client: Client, _: Any, message: int, reason: ReasonCode, properties: Properties) -> None:
        with self._changed:
            self._acknowledged[message] = reason.value
            self._changed.notify_all()
