"""The tables `[[sink]]` of a recipe: where alerts and results go."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edgerd.recipe.records import (
    Address,
    EnvironmentVariable,
    Misfit,
    Name,
    RecipePath,
    RecipeRecord,
    Text,
    host_and_port,
    is_loopback,
    refuse,
    refuse_secrets,
)
from edgerd.recipe.secrets import has_secret, read_secret, two_sources, with_secret

_MODBUS = "127.0.0.1:502"
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+")

Port = Annotated[int, Field(ge=1, le=65_535)]


class SinkRecord(RecipeRecord):
    """What all sinks have."""

    name: Name = "sink"
    """What it is called in the outbox and in metrics. Without it, as its type."""

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_type(cls, data: Any) -> Any:
        is_named = not isinstance(data, dict) or "name" in data or not isinstance(data.get("type"), str)
        return data if is_named else {**data, "name": data["type"]}


class JsonlRecord(SinkRecord):
    """A file with one event a line."""

    type: Literal["jsonl"]
    path: RecipePath
    """The file. It may be renamed at any time, as log rotation does."""


class WebhookRecord(SinkRecord):
    """An HTTP server that is sent each event."""

    type: Literal["webhook"]
    url: Text
    """http:// or https://. A token in it is written as `{token}` and given by the next two keys."""
    token_env: EnvironmentVariable | None = None
    """Environment variable that holds the token in the URL."""
    token_file: RecipePath | None = None
    """File that holds the token in the URL."""
    secret_env: EnvironmentVariable | None = None
    """Environment variable that holds the key which each request is signed with (HMAC-SHA256)."""
    secret_file: RecipePath | None = None
    """File that holds the key which each request is signed with (HMAC-SHA256)."""
    ca_file: RecipePath | None = None
    """Certificates (PEM) to trust, instead of the system's."""

    def address(self) -> str:
        """The URL with its token in it, for the request alone.

        Raises:
            InputError: The variable or file with the token cannot be read.
        """
        return with_secret(self.url, "token", read_secret(self, "token"))

    @field_validator("url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        try:
            address = urlsplit(url)
            is_usable = address.scheme.lower() in ("http", "https") and bool(address.hostname) and address.port != 0
        except ValueError:  # a port that is no number, brackets that hold no address
            is_usable = False
        if not is_usable:
            raise ValueError("an address such as https://example.com/alerts")
        return refuse_secrets(url, "token")

    @model_validator(mode="after")
    def _secrets_have_their_places(self) -> WebhookRecord:
        misfits = [*two_sources(self, "token"), *two_sources(self, "secret")]
        if ("{token}" in self.url) != has_secret(self, "token"):
            misfits.append(Misfit(("url",), "{token} in the url and token_env or token_file beside it, or neither"))
        refuse(misfits)
        return self


class MqttRecord(SinkRecord):
    """An MQTT broker."""

    type: Literal["mqtt"]
    host: Text
    """Name or address of the broker."""
    port: Port | None = None
    """Without it, 8883 with TLS and 1883 without."""
    tls: bool = False
    """Whether the connection is encrypted and the broker's certificate checked."""
    ca_file: RecipePath | None = None
    """With TLS: certificates (PEM) to trust, instead of the system's."""
    user: Text | None = None
    """Name to log in with."""
    password_env: EnvironmentVariable | None = None
    """Environment variable that holds the password."""
    password_file: RecipePath | None = None
    """File that holds the password."""
    topic: Text = "edgerd"
    """What all topics begin with: events are published to TOPIC/CAMERA/KIND. Two lines at one broker need two."""

    @property
    def address(self) -> str:
        """The broker as `edgerd.sinks` takes it: mqtts://broker:8883."""
        scheme, usual_port = ("mqtts", 8883) if self.tls else ("mqtt", 1883)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port or usual_port}"

    @field_validator("host")
    @classmethod
    def _usable_host(cls, host: str) -> str:
        if not _HOST.fullmatch(host):
            raise ValueError('the name or IP address of the broker alone, such as "broker.example.com"')
        return host

    @field_validator("topic")
    @classmethod
    def _usable_topic(cls, topic: str) -> str:
        if topic.startswith("$") or re.search("[+#]", topic) or not all(topic.split("/")):
            raise ValueError('names joined by "/", without "+" and "#", the first one not with a "$"')
        return topic

    @model_validator(mode="after")
    def _login_is_whole(self) -> MqttRecord:
        misfits = [*two_sources(self, "password")]
        if has_secret(self, "password") and self.user is None:
            misfits.append(Misfit((), 'user = "NAME" beside the password'))
        if self.ca_file is not None and not self.tls:
            misfits.append(Misfit(("ca_file",), "tls = true beside it; it has no effect otherwise"))
        refuse(misfits)
        return self


class ModbusRecord(SinkRecord):
    """A PLC over Modbus TCP: triggers from it, results to it, as the register map says."""

    opened_once: ClassVar[bool] = True
    type: Literal["modbus"]
    role: Literal["server", "client"] = "server"
    """server: the PLC reads and writes edgerd's registers. client: edgerd reads and writes the PLC's."""
    address: Address | None = None
    """host:port. As a server, where to listen; without it, 127.0.0.1:502. As a client, where the PLC is."""
    allowed_clients: tuple[Text, ...] = ()
    """As a server: IP addresses or networks that may connect. Beyond this machine there must be one, since Modbus has
    no passwords."""
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """As a client: unit id of the PLC."""
    base_address: Annotated[int, Field(ge=0, le=65_535)] = 0
    """As a client: where the first camera's block begins in the PLC's holding registers."""

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where to listen, or where the PLC is."""
        return host_and_port(self.address or _MODBUS)

    @field_validator("allowed_clients")
    @classmethod
    def _usable_clients(cls, clients: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for client in clients:
                ipaddress.ip_network(client)
        except ValueError as error:
            raise ValueError('IP addresses or networks, such as "10.0.0.7" or "10.0.0.0/24"') from error
        return clients

    @model_validator(mode="after")
    def _fits_its_role(self) -> ModbusRecord:
        refuse(self._misfits())
        return self

    def _misfits(self) -> Iterator[Misfit]:
        if self.role == "server":
            for key in ("unit", "base_address"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    yield Misfit((key,), 'role = "client" beside it; it has no effect otherwise')
            if not is_loopback(self.address or _MODBUS) and not self.allowed_clients:
                yield Misfit(("address",), "allowed_clients beyond this machine, since Modbus has no passwords")
        else:
            if self.address is None:
                yield Misfit((), "address, which says where the PLC is")
            if self.allowed_clients:
                yield Misfit(("allowed_clients",), 'role = "server" beside it; it has no effect otherwise')


class OpcUaRecord(SinkRecord):
    """An OPC UA server with results and state."""

    opened_once: ClassVar[bool] = True
    type: Literal["opcua"]
    address: Address = "127.0.0.1:4840"
    """host:port to listen on. Beyond this machine it takes the following keys, for signed and encrypted connections."""
    certificate_file: RecipePath | None = None
    """The server's certificate (PEM or DER)."""
    private_key_file: RecipePath | None = None
    """The key of the certificate (PEM or DER), without a passphrase."""
    user: Text | None = None
    """Name that clients log in with."""
    password_env: EnvironmentVariable | None = None
    """Environment variable that holds the password of clients."""
    password_file: RecipePath | None = None
    """File that holds the password of clients."""

    @model_validator(mode="after")
    def _security_is_whole(self) -> OpcUaRecord:
        refuse([*two_sources(self, "password"), *self._misfits()])
        return self

    def _misfits(self) -> Iterator[Misfit]:
        parts = (self.certificate_file, self.private_key_file, self.user, has_secret(self, "password") or None)
        n_given = sum(part is not None for part in parts)
        if n_given not in (0, len(parts)):
            yield Misfit((), "all of certificate_file, private_key_file, user and password_env, or none of them")
        if n_given == 0 and not is_loopback(self.address):
            yield Misfit(("address",), "certificate_file, private_key_file, user and password_env beyond this machine")


Sink: TypeAlias = Annotated[
    JsonlRecord | WebhookRecord | MqttRecord | ModbusRecord | OpcUaRecord, Field(discriminator="type")
]
