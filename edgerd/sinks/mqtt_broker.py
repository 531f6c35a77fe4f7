"""The broker that MQTT goes through: its address, topics at it, and clients that connect to it again for ever."""

from __future__ import annotations

import re
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from edgerd.errors import InputError, MissingDependencyError
from edgerd.sinks.tls import client_context

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEP_ALIVE_S: Final = 20
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_CONNECT_S: Final = 5.0
_END_S: Final = 2.0
_FIRST_RECONNECT_S, _LAST_RECONNECT_S = 1, 10
_NOT_IN_A_LEVEL = re.compile(r"[%/+#\x00-\x1f\x7f\ud800-\udfff]")


class Broker:
    """A broker as a recipe names it.

    Args:
        url: `mqtt://host`, or `mqtts://host` for TLS with the certificate and host name checked; a port may follow.
        topic: Begin of all topics.
        user: For brokers that ask for it; None for none.
        password: For that user.
        ca_file: Certificates (PEM) to trust instead of the system's, for a broker with one of its own.

    Attributes:
        name: Its address, without secrets.
        host: Its name or address.
        port: TCP port.
        topic: Begin of all topics.

    Raises:
        InputError: Address, topic or file cannot be used.
        MissingDependencyError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        topic: str,
        user: str | None = None,
        password: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._library = _import()
        scheme, self.host, self.port = _parsed(url)
        self.name = f"{scheme}://{self.host}:{self.port}"
        self.topic = _checked_topic(topic)
        self._user, self._password = user, password
        self._context = client_context(ca_file) if scheme == "mqtts" else None

    def new_client(self) -> Client:
        """A client of MQTT 5 that is not connected yet; once it has begun, it connects again by itself for ever.

        Its session ends with the connection: what others send meanwhile is not kept for it.
        """
        client: Client = self._library.Client(
            self._library.CallbackAPIVersion.VERSION2,
            client_id=f"edgerd-{secrets.token_hex(6)}",
            protocol=self._library.MQTTv5,
        )
        client.connect_timeout = _CONNECT_S
        client.reconnect_delay_set(_FIRST_RECONNECT_S, _LAST_RECONNECT_S)
        if self._user is not None:
            client.username_pw_set(self._user, self._password.get_secret_value() if self._password else None)
        if self._context is not None:
            client.tls_set_context(self._context)
        return client


def end_client(client: Client) -> None:
    """Disconnect a client and end its thread, within two seconds."""
    client.disconnect()
    # Ends within a second where a connection is up or down; not while one is being made to a host that hangs.
    ending = threading.Thread(target=client.loop_stop, name="mqtt-end", daemon=True)
    ending.start()
    ending.join(_END_S)
    # Without its owner's functions it goes as soon as its owner does, and its sockets with it.
    client.on_connect = client.on_connect_fail = client.on_disconnect = None
    client.on_message = client.on_publish = client.on_subscribe = None


def topic_level(camera: str) -> str:
    """A camera's name as one level of a topic; no two names give the same."""
    return _NOT_IN_A_LEVEL.sub(lambda found: f"%{ord(found[0]):02X}", camera)


def _import() -> Any:
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise MissingDependencyError(
            "MQTT needs paho-mqtt, which is not installed.", hint='pip install "edgerd[mqtt]"'
        ) from error
    return client


def _parsed(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a broker's address, which is not shown where it is wrong: it may hold a password."""
    expected = "mqtt://host, mqtts://host, or either with :port; user and password are given beside it"
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError as error:  # UnicodeError is one
        raise InputError("The address of the MQTT broker cannot be read.", expected=expected) from error
    if port is None or not host or parts.username is not None or parts.path.strip("/") or parts.query:
        raise InputError("The address of the MQTT broker is not one.", expected=expected)
    return parts.scheme, host, port


def _checked_topic(topic: str) -> str:
    levels = topic.split("/")
    if topic.startswith("$") or not all(levels) or re.search(r"[+#\x00-\x1f\x7f\ud800-\udfff]", topic):
        raise InputError(
            f"{topic!r} cannot be the begin of MQTT topics.",
            expected="names joined by /, without +, # and control characters, the first not with a $",
            hint="For example edgerd/hall-3.",
        )
    return topic
