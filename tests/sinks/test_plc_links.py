"""What every link to a PLC must do towards the line, whatever it speaks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgerd.events import FrameVerdict
from edgerd.sinks.fake import FakePlcLink
from edgerd.sinks.modbus import ModbusClient, ModbusServer
from edgerd.sinks.opcua import OpcUaServer
from edgerd.sinks.plc import CameraState, PlcLink
from edgerd.triggers import Trigger
from edgerd.types import Inspection, Verdict


def unreachable_plc() -> ModbusClient:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return ModbusClient(["top"], lambda _: None, host="127.0.0.1", port=port)


LINKS: dict[str, Callable[[], PlcLink]] = {
    "fake": FakePlcLink,
    "modbus server": lambda: ModbusServer(["top"], lambda _: None, port=0),
    "modbus client": unreachable_plc,
    "opc ua": lambda: OpcUaServer(["top"], port=0),
}


@pytest.fixture(params=LINKS)
def link(request: pytest.FixtureRequest) -> Iterator[PlcLink]:
    link = LINKS[request.param]()
    yield link
    link.close()


def tell_everything(link: PlcLink) -> None:
    for camera in ("top", "unknown"):
        trigger = Trigger(camera, "1", 70_000, 0.0, 0.0)
        for verdict in Verdict:
            for score in (0.5, None, float("nan"), float("inf"), 1e300):
                found = FrameVerdict(Inspection(verdict, score, float("inf")), camera, None, "", None, 0.0, "")
                link.publish(found, trigger)
                link.publish(found, None)
        for state in CameraState:
            link.set_state(camera, state)
        link.alive()


def test_whatever_a_line_says_from_any_thread_nothing_is_raised(link: PlcLink) -> None:
    with ThreadPoolExecutor(4) as threads:
        for told in [threads.submit(tell_everything, link) for _ in range(4)]:
            assert told.result() is None


def test_after_it_is_closed_the_line_may_go_on_talking(link: PlcLink) -> None:
    link.close()
    tell_everything(link)
    link.close()
