"""Where the Modbus server listens, to whom, and that it is closed for good."""

from __future__ import annotations

import socket
import sys

import pytest
from plc_parts import PlcClient, found
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from edgerd.errors import EdgerdError, InputError, MissingDependencyError
from edgerd.sinks.modbus import ModbusServer
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Verdict


def test_closing_twice_and_publishing_after_it_are_harmless(server: ModbusServer, plc: PlcClient) -> None:
    server.close()
    server.close()
    server.publish(found(Verdict.OK), None)
    server.alive()
    server.set_state("top", CameraState.ERROR)
    assert not plc.modbus.connect()


def test_off_loopback_it_wants_to_know_who_may_connect(triggers: list[Trigger]) -> None:
    with pytest.raises(InputError, match="anybody in the network"):
        ModbusServer(["top"], triggers.append, host="0.0.0.0", port=0)


def test_a_client_that_is_not_allowed_gets_no_answer(triggers: list[Trigger]) -> None:
    server = ModbusServer(["top"], triggers.append, port=0, allowed_clients=["192.0.2.0/24"])
    client = ModbusTcpClient("127.0.0.1", port=server.port, timeout=5, retries=0)
    try:
        with pytest.raises((ModbusException, ConnectionError)):
            client.read_input_registers(0, count=1)
    finally:
        client.close()
        server.close()


def test_a_port_that_is_taken_is_said(triggers: list[Trigger]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EdgerdError, match="Listening at"):
        ModbusServer(["top"], triggers.append, port=taken.getsockname()[1])


@pytest.mark.parametrize("cameras", [[], ["top", "top"], [str(index) for index in range(656)]])
def test_cameras_that_do_not_fit_into_the_map_are_refused(cameras: list[str]) -> None:
    with pytest.raises(InputError, match="cameras"):
        ModbusServer(cameras, lambda _: None, port=0)


def test_without_pymodbus_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus", None)
    with pytest.raises(MissingDependencyError, match=r"edgerd\[modbus\]"):
        ModbusServer(["top"], lambda _: None, port=0)
