"""What edgerd needs of pymodbus; the only file that imports it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from edgerd.sinks.hosts import AllowedClients
from edgerd.sinks.modbus.memory import Memory
from edgerd.sinks.modbus.registers import BLOCK_WORDS, STRIDE

_ANY_UNIT = 0
_READ_DISCRETE_INPUTS = 2
_COIL_FUNCTIONS = (1, 5, 15)
_SETTLING_S = 0.01

# What fails is said by edgerd; without this, Python prints pymodbus's warnings on stderr.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())


class PlcError(Exception):
    """The PLC does not answer, or answers that it will not."""


class Listener(ModbusTcpServer):
    """A server of the stations' memory, whatever unit id a request names.

    Must be made and used in a running asyncio loop.

    Args:
        memory: What is read and written.
        n_cameras: Number of blocks in it.
        address: Where to listen: an IP address or a name, and a port.
        allowed: Clients that may connect, by their IP addresses.
    """

    def __init__(self, memory: Memory, n_cameras: int, address: tuple[str, int], allowed: AllowedClients) -> None:
        super().__init__(_device(memory, n_cameras), address=address)
        self._allowed = allowed

    @property
    def port(self) -> int:
        """The port that it listens at; for one that was chosen by the system."""
        listening: Any = self.transport
        port: int = listening.sockets[0].getsockname()[1]
        return port

    def callback_new_connection(self) -> ServerRequestHandler:
        """A connection that ends at once where its client is not allowed."""
        return _Connection(self, self._allowed)


async def stop_server(server: ModbusTcpServer) -> None:
    """End a server and all its connections.

    A connection that was accepted a moment ago is known to asyncio and pymodbus only after some turns of the loop, and
    would outlive a server that ends before. So nothing is accepted first.
    """
    listening: Any = server.transport
    for accepting in listening.sockets:
        asyncio.get_running_loop().remove_reader(accepting.fileno())
    await asyncio.sleep(_SETTLING_S)
    await server.shutdown()  # type: ignore[no-untyped-call]


class _Connection(ServerRequestHandler):
    def __init__(self, owner: Listener, allowed: AllowedClients) -> None:
        super().__init__(owner, None, None, None)  # type: ignore[no-untyped-call]
        self._allowed = allowed

    def callback_connected(self) -> None:
        super().callback_connected()
        peer = self.transport.get_extra_info("peername")  # None where it has gone already
        if peer is None or peer[0] not in self._allowed:
            self.close()


def _device(memory: Memory, n_cameras: int) -> SimDevice:
    """The blocks of all cameras. pymodbus knows the addresses; `memory` says what is there, at every access."""
    words = [SimData(0, values=[0] * (n_cameras * STRIDE), datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False] * (n_cameras * STRIDE), datatype=DataType.BITS)]

    async def access(
        function: int, start: int, address: int, _count: int, registers: list[int], values: list[Any] | None
    ) -> ExcCodes | None:
        is_bits = function in (*_COIL_FUNCTIONS, _READ_DISCRETE_INPUTS)
        if values is not None:
            write = memory.write_coils if is_bits else memory.write_registers
            return None if write(address, values) else ExcCodes.ILLEGAL_ADDRESS
        if is_bits:
            read = memory.status_bits if function == _READ_DISCRETE_INPUTS else memory.control_bits
            registers[:] = _packed([read(index) for index in range(n_cameras)], len(registers))
        else:
            for index in range(n_cameras):
                place = index * STRIDE - start
                registers[place : place + BLOCK_WORDS] = memory.block(index)
        return None

    return SimDevice(_ANY_UNIT, (bits, list(bits), words, list(words)), action=access)


def _packed(bits: Sequence[Sequence[bool]], length: int) -> list[int]:
    """The bits of each camera, `STRIDE` apart, as `length` words of sixteen, the lowest bit first."""
    whole = sum(
        1 << index * STRIDE + position for index, some in enumerate(bits) for position, bit in enumerate(some) if bit
    )
    return [whole >> 16 * word & 0xFFFF for word in range(length)]


class Connection:
    """A connection to a PLC's registers, for one asyncio loop.

    Args:
        host: The PLC's IP address or name.
        port: Its Modbus port.
        unit: Its unit id.
        timeout_s: For how long an answer is waited for.
    """

    def __init__(self, host: str, port: int, unit: int, timeout_s: float) -> None:
        self._client = AsyncModbusTcpClient(
            host, port=port, timeout=timeout_s, retries=0, reconnect_delay=0, trace_connect=self._has_changed
        )
        self._unit = unit
        self._lost = asyncio.Event()

    async def connect(self) -> None:
        """Connect.

        Raises:
            PlcError: It cannot be reached.
        """
        if not await self._client.connect():
            raise PlcError("cannot be reached")

    async def read(self, address: int, count: int) -> list[int]:
        """Holding registers, each 0 to 65535.

        Raises:
            PlcError: The PLC does not answer, or refuses.
        """
        answer = await self._answer(
            lambda: self._client.read_holding_registers(address, count=count, device_id=self._unit)
        )
        if answer.isError() or len(answer.registers) != count:
            raise PlcError(f"does not let holding registers {address} to {address + count - 1} be read: {answer}")
        return list(answer.registers)

    async def write(self, address: int, words: list[int]) -> None:
        """Write holding registers, each 0 to 65535, in one request.

        Raises:
            PlcError: The PLC does not answer, or refuses.
        """
        answer = await self._answer(lambda: self._client.write_registers(address, words, device_id=self._unit))
        if answer.isError():
            last = address + len(words) - 1
            raise PlcError(f"does not let holding registers {address} to {last} be written: {answer}")

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _has_changed(self, is_connected: bool) -> None:
        if not is_connected:
            self._lost.set()

    async def _answer(self, request: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        """The answer to a request. pymodbus would wait for it even where the connection has gone."""
        lost = asyncio.ensure_future(self._lost.wait())
        answer: asyncio.Future[ModbusPDU] | None = None
        try:
            answer = asyncio.ensure_future(request())
            await asyncio.wait((answer, lost), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        except Exception as error:  # whatever an answer does to pymodbus, the PLC is asked again
            raise PlcError(f"does not answer: {error}") from error
        finally:
            lost.cancel()
            if answer:
                answer.cancel()
        raise PlcError("has closed the connection")
