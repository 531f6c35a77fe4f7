"""A line as the control sees it: its cameras, their products, and what was commanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType

from pydantic import SecretStr

from edgerd.audit import AuditTrail
from edgerd.control import Commands, open_control
from edgerd.control.mqtt import MqttControl
from edgerd.line.feed import Feed
from edgerd.recipe import camera as records
from edgerd.recipe.recipe import Recipe
from edgerd.recipe.records import host_and_port
from edgerd.recipe.secrets import read_secret
from edgerd.recipe.sinks import MqttRecord
from edgerd.triggers import Trigger


class CommandedCamera:
    """A camera that commands can trigger and change over: an `edgerd.control.line.CameraControl`.

    Args:
        record: The camera's table in the recipe.
        feed: The camera in the running line.
    """

    def __init__(self, record: records.Camera, feed: Feed) -> None:
        self.triggered_by: str = record.trigger
        self.products: Mapping[str, int | None] = MappingProxyType(
            {name: product.index for name, product in record.all_products.items()}
        )
        self._feed = feed

    @property
    def current_product(self) -> str:
        """The product of a part whose trigger names none; the new one as soon as `change_product` has returned."""
        return self._feed.products.newest

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before the camera now.

        Raises:
            CameraError: The camera takes no triggers any more, because it has ended.
        """
        self._feed.fire(trigger)

    def change_product(self, name: str) -> None:
        """Inspect another product in all frames that are captured from now on."""
        self._feed.products.change_to(name)


class CommandedLine:
    """A line that can be commanded: an `edgerd.control.line.LineControl`.

    Args:
        recipe: What the line runs.
        feeds: Its cameras, in the recipe's order.
        trail: The audit trail that commands are written into.
    """

    def __init__(self, recipe: Recipe, feeds: Sequence[Feed], trail: AuditTrail) -> None:
        self.cameras: Mapping[str, CommandedCamera] = {
            record.name: CommandedCamera(record, feed) for record, feed in zip(recipe.cameras, feeds, strict=True)
        }
        self._trail = trail

    def on_command(self, who: str, what: str) -> None:
        """Write a command that has changed something into the audit trail."""
        self._trail.record("manual", what, who=who)


def open_commands(line: CommandedLine, recipe: Recipe, stack: ExitStack) -> Commands | None:
    """Begin to take commands over HTTP and MQTT, where the recipe asks for that.

    Args:
        line: Takes the commands.
        recipe: `[control]` is HTTP; a camera with `trigger = "mqtt"` is commanded through the MQTT sinks' brokers.
        stack: Closes what is opened.

    Returns:
        The commands, which have to be told of each verdict; None where the recipe asks for none.

    Raises:
        EdgerdError: The address or port of `[control]` cannot be listened at.
        InputError: Settings cannot be used, or a secret is missing.
        MissingDependencyError: A library is not installed.
    """
    over_mqtt = any(camera.trigger == "mqtt" for camera in recipe.cameras)
    if recipe.control is None and not over_mqtt:
        return None
    commands = Commands(line)
    if recipe.control is not None:
        host, port = host_and_port(recipe.control.bind)
        token = read_secret(recipe.control, "token")
        server = open_control(commands, host=host, port=port, token=None if token is None else SecretStr(token))
        stack.callback(server.close)
    for record in recipe.sinks if over_mqtt else ():
        if isinstance(record, MqttRecord):
            stack.callback(_mqtt(commands, record).close)
    return commands


def _mqtt(commands: Commands, record: MqttRecord) -> MqttControl:
    password = read_secret(record, "password")
    return MqttControl(
        commands,
        record.address,
        topic=record.topic,
        user=record.user,
        password=None if password is None else SecretStr(password),
        ca_file=record.ca_file,
    )
