"""Triggers and product change-overs over MQTT."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from edgerd.control.commands import Commands
from edgerd.control.parts import Answer
from edgerd.control.requests import TriggerRequest, read_request
from edgerd.errors import EdgerdError, InputError
from edgerd.redaction import without_secrets
from edgerd.sinks.mqtt_broker import KEEP_ALIVE_S, Broker, end_client, topic_level
from edgerd.types import Verdict

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

MAX_WAITING: Final = 1000
"""Answers that wait for a broker that is away; those above it are lost and counted."""
_MAX_PACKET_BYTES: Final = 65_536


class MqttControl:
    """Takes commands that come over a broker, from its making until `close`.

    It listens to `TOPIC/CAMERA/trigger/set` and `TOPIC/CAMERA/product/set`. Each trigger gets one answer at
    `TOPIC/CAMERA/verdict`, which is not retained; one that was refused is NO_DECISION. `TOPIC/CAMERA/product` is
    retained and says what the camera inspects. A change-over that was refused is answered at `TOPIC/CAMERA/error`.

    What was sent while there was no connection is not made up for, and messages that the broker has retained are
    ignored: a part that has gone by cannot be inspected any more. The library connects again by itself, for ever.

    Args:
        commands: What takes them.
        url: As for `edgerd.sinks.mqtt.MqttSink`.
        topic: Begin of all topics.
        user: For brokers that ask for it; None for none.
        password: For that user.
        ca_file: Certificates (PEM) to trust instead of the system's.

    Attributes:
        lost_answers: How many answers were lost because too many waited for the broker.

    Raises:
        InputError: Address, topic or file cannot be used.
        MissingDependencyError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        commands: Commands,
        url: str,
        *,
        topic: str = "edgerd",
        user: str | None = None,
        password: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._commands = commands
        self._broker = Broker(url, topic=topic, user=user, password=password, ca_file=ca_file)
        self._topic = self._broker.topic
        self._failure: str | None = f"There is no connection to {self._broker.name} yet."
        self._telling = threading.Lock()
        self.lost_answers = 0

        from paho.mqtt.enums import MQTTErrorCode
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self._full = MQTTErrorCode.MQTT_ERR_QUEUE_SIZE
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        limits.MaximumPacketSize = _MAX_PACKET_BYTES
        client = self._client = self._broker.new_client()
        client.max_queued_messages_set(MAX_WAITING)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        commands.when_product_changes(self._tell_product)
        client.connect_async(self._broker.host, self._broker.port, keepalive=KEEP_ALIVE_S, properties=limits)
        client.loop_start()

    @property
    def failure(self) -> str | None:
        """Why commands do not come through, one sentence; None while they do."""
        return self._failure

    def close(self) -> None:
        """Disconnect, within a few seconds; safe to call twice."""
        self._commands.forget(self._tell_product)
        end_client(self._client)

    def _tell_product(self, camera: str) -> None:
        """Publish what a camera inspects; with no connection, the next one begins with it."""
        with self._telling:  # the newest is told last
            if self._client.is_connected():
                # QoS 0: an older one that is repeated after a reconnection would take the place of a newer one.
                product = self._commands.product(camera)
                topic = f"{self._topic}/{topic_level(camera)}/product"
                self._client.publish(topic, json.dumps(product), qos=0, retain=True)

    def _trigger(self, level: str, body: bytes) -> None:
        """Take a trigger; whatever happens, it gets one answer."""

        def tell(answer: Answer) -> None:
            self._say(f"{self._topic}/{level}/verdict", answer)

        try:
            part = self._commands.trigger(self._camera(level), body, "mqtt")
        except Exception as error:  # noqa: BLE001  the sender is told, and the next message is taken
            refusal = {"verdict": Verdict.NO_DECISION.value, "reason": _in_one_line(error)}
            tell({"camera": self._camera(level), **refusal, "trigger": None, "id": _id_in(body)})
        else:
            part.when_judged(tell)

    def _change_product(self, level: str, body: bytes) -> None:
        camera = self._camera(level)
        try:
            self._commands.change_product(camera, body, f"MQTT at {self._broker.name}")
        except Exception as error:  # noqa: BLE001  the sender is told, and the next message is taken
            self._say(f"{self._topic}/{level}/error", {"camera": camera, "error": _in_one_line(error)})

    def _say(self, topic: str, message: Mapping[str, Any]) -> None:
        """Publish a message; returns at once."""
        sent = self._client.publish(topic, json.dumps(message, allow_nan=False), qos=1)
        if sent.rc == self._full:
            self.lost_answers += 1

    def _camera(self, level: str) -> str:
        """The camera that a level of a topic means; the level itself where it means none."""
        by_level = {topic_level(name): name for name in self._commands.names}
        return by_level.get(level, level)

    # The library calls these on its own thread.

    def _on_connect(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._failure = f"{self._broker.name} refuses the connection: {reason}."
            return
        from paho.mqtt.subscribeoptions import SubscribeOptions

        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        client.subscribe([(f"{self._topic}/+/{what}/set", options) for what in ("trigger", "product")])
        for camera in self._commands.names:
            self._tell_product(camera)

    def _on_subscribe(
        self, client: Client, _: Any, message: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._failure = f"{self._broker.name} lets nobody command here: {refused[0]}." if refused else None

    def _on_connect_fail(self, client: Client, _: Any) -> None:
        # The library calls this while it handles the error, and does not pass it on.
        self._failure = f"There is no connection to {self._broker.name}: {sys.exc_info()[1]}."

    def _on_disconnect(
        self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._failure is None:  # else it was refused, which says more
            self._failure = f"The connection to {self._broker.name} was lost: {reason}."

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if message.retain:  # brokers that do not know MQTT 5's way of not sending it; it is of long ago
            return
        level, what, _set = message.topic[len(self._topic) + 1 :].split("/")
        take = self._trigger if what == "trigger" else self._change_product
        take(level, bytes(message.payload))


def _id_in(body: bytes) -> str | None:
    """The sender's own id of a part; None where the message has none, or cannot be read."""
    try:
        return read_request(TriggerRequest, body).id
    except InputError:
        return None


def _in_one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, EdgerdError) else f"This failed inside edgerd: {error}."
    return without_secrets(text.replace("\n", " "))
