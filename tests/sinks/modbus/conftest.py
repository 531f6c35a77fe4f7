"""A Modbus server of two cameras, and a client that speaks to it as a PLC does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plc_parts import PlcClient

from edgerd.sinks.modbus import ModbusServer
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger


@pytest.fixture
def triggers() -> list[Trigger]:
    return []


@pytest.fixture
def server(triggers: list[Trigger]) -> Iterator[ModbusServer]:
    """Cameras `top` and `side`, of which `top` is ready; alive for a minute."""
    server = ModbusServer(["top", "side"], triggers.append, port=0, alive_timeout_s=60)
    server.set_state("top", CameraState.READY)
    server.alive()
    yield server
    server.close()


@pytest.fixture
def plc(server: ModbusServer) -> Iterator[PlcClient]:
    plc = PlcClient(server.port)
    yield plc
    plc.modbus.close()
