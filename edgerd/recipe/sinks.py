"""The tables `[[sink]]` of a recipe: where alerts and results go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from edgerd.recipe.records import (
    Address,
    EnvironmentVariable,
    Misfit,
    Name,
    RecipePath,
    RecipeRecord,
    Seconds,
    Text,
    is_loopback,
    refuse,
    refuse_secrets,
)
from edgerd.recipe.secrets import has_secret, read_secret, two_sources, with_secret

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
    timeout_s: Seconds = 10.0
    """How long an answer may take before the request is tried again."""

    def address(self) -> str:
        """The URL with its token in it, for the request alone.

        Raises:
            InputError: The variable or file with the token cannot be read.
        """
        return with_secret(self.url, "token", read_secret(self, "token"))

    @field_validator("url")
    @classmethod
    def _usable_url(cls, url: str, info: ValidationInfo) -> str:
        try:
            address = urlsplit(url)
            is_usable = address.scheme.lower() in ("http", "https") and bool(address.hostname) and address.port != 0
        except ValueError:  # a port that is no number, brackets that hold no address
            is_usable = False
        if not is_usable:
            raise ValueError("an address such as https://example.com/alerts")
        return refuse_secrets(url, "token", info)

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
    topic: Annotated[str, Field(pattern=r"^[^#+/$\x00-\x1f\x7f][^#+\x00-\x1f\x7f]{0,199}$")] = "edgerd"
    """What all topics begin with: events are published to TOPIC/CAMERA/..."""
    home_assistant: bool = False
    """Whether to publish Home Assistant's discovery messages, so that cameras appear there by themselves."""

    @property
    def broker_port(self) -> int:
        """The port to connect to."""
        return self.port or (8883 if self.tls else 1883)

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

    type: Literal["modbus"]
    role: Literal["server", "client"] = "server"
    """server: the PLC reads and writes edgerd's registers. client: edgerd reads and writes the PLC's."""
    address: Address = "127.0.0.1:5020"
    """host:port to listen on as a server; the PLC's as a client. Modbus has no passwords: whoever reaches a server can
    trigger it, so keep it in the machine's own network."""


class OpcUaRecord(SinkRecord):
    """An OPC UA server with results and state."""

    type: Literal["opcua"]
    address: Address = "127.0.0.1:4840"
    """host:port to listen on. Beyond this machine it takes a certificate and a user."""
    certificate_file: RecipePath | None = None
    """The server's certificate (DER or PEM)."""
    private_key_file: RecipePath | None = None
    """The key of the certificate (PEM)."""
    user: Text | None = None
    """Name that clients log in with."""
    password_env: EnvironmentVariable | None = None
    """Environment variable that holds the password of clients."""
    password_file: RecipePath | None = None
    """File that holds the password of clients."""

    @model_validator(mode="after")
    def _secure_beyond_this_machine(self) -> OpcUaRecord:
        refuse([*two_sources(self, "password"), *self._misfits()])
        return self

    def _misfits(self) -> Iterator[Misfit]:
        if (self.certificate_file is None) != (self.private_key_file is None):
            yield Misfit((), "certificate_file and private_key_file, or neither")
        if (self.user is None) == has_secret(self, "password"):
            yield Misfit((), "user and password_env or password_file, or none of them")
        if not is_loopback(self.address) and (self.certificate_file is None or self.user is None):
            yield Misfit(("address",), "certificate_file, private_key_file, user and password_env beyond this machine")


Sink: TypeAlias = Annotated[
    JsonlRecord | WebhookRecord | MqttRecord | ModbusRecord | OpcUaRecord, Field(discriminator="type")
]
