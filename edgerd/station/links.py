"""Links to PLCs: opened as the recipe says, told how the cameras do, and that the line is alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, Protocol, runtime_checkable

from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.recipe.recipe import Recipe
from edgerd.recipe.records import host_and_port
from edgerd.recipe.secrets import read_secret
from edgerd.recipe.sinks import ModbusRecord, OpcUaRecord
from edgerd.sinks.plc import CameraState, PlcLink
from edgerd.triggers import Trigger

BEAT_S: Final = 0.2
"""How often links are told that the line is alive; they want to hear it twice a second at least."""
STUCK_S: Final = 1.0
"""A line whose thread made no turn for so long is not alive: the heartbeat that a PLC watches stands still."""


def open_links(recipe: Recipe, on_trigger: Callable[[Trigger], None], stack: ExitStack) -> list[PlcLink]:
    """Open the recipe's links to PLCs; the stack closes them.

    Args:
        recipe: What the line runs.
        on_trigger: Takes the triggers of PLCs, from their threads.
        stack: Closes what is opened.

    Raises:
        EdgerdError: A port cannot be listened at.
        InputError: Settings cannot be used, or a secret is missing.
        MissingDependencyError: pymodbus or asyncua is not installed.
    """
    names = [camera.name for camera in recipe.cameras]
    links: list[PlcLink] = []
    for record in recipe.sinks:
        if isinstance(record, ModbusRecord):
            # A PLC that triggers no camera still reads the verdicts of all.
            triggered = [camera.name for camera in recipe.cameras if camera.trigger == "modbus"]
            links.append(_modbus(record, triggered or names, on_trigger))
        elif isinstance(record, OpcUaRecord):
            links.append(_opc_ua(record, names))
        else:
            continue
        stack.callback(links[-1].close)
    return links


@runtime_checkable
class TriggerWatcher(Protocol):
    """A link that shows which triggers are being worked on."""

    def begin(self, trigger: Trigger) -> None:
        """A trigger is being taken, from wherever it came; its verdict will be published later."""
        ...


def announce(trigger: Trigger, links: Sequence[PlcLink]) -> None:
    """Tell the links that show triggers of one; to be called before the line gets it, which may answer at once."""
    for link in links:
        if isinstance(link, TriggerWatcher):
            link.begin(trigger)


class Pulse:
    """A thread that tells links how the cameras do, and that the line is alive as long as its own thread makes turns.

    It is a context manager.

    Args:
        line: Says when its thread last made a turn.
        feeds: Its cameras.
        links: Those who are told.
    """

    def __init__(self, line: Line, feeds: Sequence[Feed], links: Sequence[PlcLink]) -> None:
        self._line = line
        self._feeds = tuple(feeds)
        self._links = tuple(links)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Pulse:
        if self._links:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        if self._links:
            self._thread.join(1.0)
            for link in self._links:
                for feed in self._feeds:
                    link.set_state(feed.name, CameraState.STOPPED)

    def beat(self) -> None:
        """Tell all links once."""
        states = {feed.name: state_of(feed) for feed in self._feeds}
        is_alive = time.monotonic() - self._line.turned_s < STUCK_S
        for link in self._links:
            for name, state in states.items():
                link.set_state(name, state)
            if is_alive:
                link.alive()

    def _run(self) -> None:
        while not self._leaving.wait(BEAT_S):
            self.beat()


def state_of(feed: Feed) -> CameraState:
    """Whether a camera can judge parts now; one that has failed is in error, also when it does not come back."""
    if feed.has_failed:
        return CameraState.ERROR
    return CameraState.READY if feed.ended is None else CameraState.STOPPED


def _modbus(record: ModbusRecord, cameras: Sequence[str], on_trigger: Callable[[Trigger], None]) -> PlcLink:
    from edgerd.sinks.modbus import ModbusClient, ModbusServer

    host, port = record.host_and_port
    if record.role == "server":
        allowed = record.allowed_clients
        return ModbusServer(cameras, on_trigger, host=host, port=port, allowed_clients=allowed)
    return ModbusClient(cameras, on_trigger, host=host, port=port, unit=record.unit, base_address=record.base_address)


def _opc_ua(record: OpcUaRecord, cameras: Sequence[str]) -> PlcLink:
    from edgerd.sinks.opcua import OpcUaSecurity, OpcUaServer

    security = None
    password = read_secret(record, "password")
    if record.certificate_file and record.private_key_file and record.user and password:
        security = OpcUaSecurity(record.certificate_file, record.private_key_file, record.user, password)
    host, port = host_and_port(record.address)
    return OpcUaServer(cameras, host=host, port=port, security=security)
