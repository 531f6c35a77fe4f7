"""The PLC's side of a Modbus connection, for `modbus_handshake.py`: it polls edgerd, or edgerd polls it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgerd.sinks.loop_thread import LoopThread
from edgerd.sinks.modbus.registers import BLOCK_WORDS
from edgerd.sinks.modbus.tcp import stop_server


class Plc(Protocol):
    """The PLC's side of the wire."""

    def read(self) -> list[int] | None:
        """The camera's block, or None where edgerd is not there."""

    def write(self, words: list[int]) -> None:
        """Write the first registers of the block."""

    def restart(self) -> None:
        """Lose everything that is remembered, and all connections."""

    def close(self) -> None:
        """Let go."""


class PollingPlc:
    """A PLC that polls edgerd's server."""

    def __init__(self, port: int) -> None:
        self._client = ModbusTcpClient("127.0.0.1", port=port, timeout=1, retries=0)

    def read(self) -> list[int] | None:
        """The block as input registers."""
        try:
            answer = self._client.read_input_registers(0, count=BLOCK_WORDS)
        except (ModbusException, ConnectionError):
            self._client.close()
            return None
        return None if answer.isError() else list(answer.registers)

    def write(self, words: list[int]) -> None:
        """Write control word and product; what fails is written again in the next cycle."""
        try:
            self._client.write_registers(0, words)
        except (ModbusException, ConnectionError):
            self._client.close()

    def restart(self) -> None:
        """Connect anew; edgerd keeps what was written last."""
        self._client.close()

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


class ServingPlc:
    """A PLC whose registers edgerd polls."""

    def __init__(self) -> None:
        self.port = 0
        self._registers: list[int] = []
        self._start()

    def read(self) -> list[int] | None:
        """The block, which lies in the PLC's own memory."""
        return self._registers[:BLOCK_WORDS]

    def write(self, words: list[int]) -> None:
        """Write control word and product."""
        self._registers[: len(words)] = words

    def restart(self) -> None:
        """All registers are 0 again, and edgerd has to connect anew."""
        self._thread.stop()
        self._start()

    def close(self) -> None:
        """Stop serving."""
        self._thread.stop()

    def _start(self) -> None:
        self._thread = LoopThread("plc", self._serve)
        self._thread.start()

    async def _serve(self, has_begun: Callable[[], None], stop: asyncio.Event) -> None:
        block = SimData(0, values=[0] * BLOCK_WORDS, datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(0, [block]), address=("127.0.0.1", self.port))
        self._registers = server.context.devices[0].block["x"][2]
        await server.serve_forever(background=True)
        self.port = server.transport.sockets[0].getsockname()[1]
        has_begun()
        await stop.wait()
        await stop_server(server)
