"""A Modbus TCP client: edgerd polls the PLC's registers for triggers, and writes status and results there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgerd.errors import InputError
from edgerd.sinks.loop_thread import LoopThread, is_set_within
from edgerd.sinks.modbus.link import ModbusLink, stations_for
from edgerd.sinks.modbus.registers import (
    BLOCK_WORDS,
    CONTROL,
    CONTROL_BITS,
    IDENTITY,
    IDENTITY_WORDS,
    STATUS_OFFSET,
    STRIDE,
    decode,
    status_words,
    word_to_bits,
)
from edgerd.triggers import Trigger

if TYPE_CHECKING:
    from edgerd.sinks.modbus.tcp import Connection

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0


class ModbusClient(ModbusLink):
    """Keeps the register map of docs/reference/modbus.md in a PLC's holding registers, from the moment that it is made.

    A PLC that cannot be reached is tried again for ever, at intervals that grow to five seconds. `close` leaves it with
    every camera stopped, if it can be reached then.

    Args:
        cameras: Names of the cameras, in the order of their blocks.
        on_trigger: Called once for each part, in the client's thread. It must return at once; if it raises, the part's
            result is ERROR.
        host: The PLC's address or name.
        port: Its Modbus port.
        unit: Its unit id, 0 to 255.
        base_address: Where the first camera's block begins in its holding registers.
        poll_s: Seconds from one reading of its registers to the next.
        answer_timeout_s: For how long an answer of the PLC is waited for.
        alive_timeout_s: If `alive` is not called for so long, the PLC is to take the line for dead.

    Raises:
        InputError: The cameras cannot be used, or their blocks do not fit behind `base_address`.
        MissingDependencyError: pymodbus is not installed.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        on_trigger: Callable[[Trigger], None],
        *,
        host: str,
        port: int = 502,
        unit: int = 1,
        base_address: int = 0,
        poll_s: float = 0.01,
        answer_timeout_s: float = 1.0,
        alive_timeout_s: float = 1.0,
    ) -> None:
        super().__init__(stations_for(cameras, on_trigger, alive_timeout_s))
        last = base_address + (len(cameras) - 1) * STRIDE + BLOCK_WORDS - 1
        if base_address < 0 or last > 0xFFFF:
            raise InputError(
                f"The registers {base_address} to {last} are not all registers of Modbus.",
                expected="addresses from 0 to 65535",
                hint="Choose a smaller base address.",
            )
        self._address = (host, port, unit, answer_timeout_s)
        self._base = base_address
        self._poll_s = poll_s
        self._error: str | None = "has not been reached yet"
        self._thread = LoopThread(f"modbus client of {host}", self._keep_connected)
        self._thread.start()

    @property
    def error(self) -> str | None:
        """Why the PLC cannot be used now, to be read after "the PLC"; None while it is connected and answers."""
        return self._error

    async def _keep_connected(self, has_begun: Callable[[], None], stop: asyncio.Event) -> None:
        from edgerd.sinks.modbus.tcp import Connection, PlcError

        has_begun()
        delay_s = _FIRST_DELAY_S
        while not stop.is_set():
            connection = Connection(*self._address)
            try:
                await connection.connect()
                await self._exchange_once(connection)
                delay_s, self._error = _FIRST_DELAY_S, None
                while not await is_set_within(stop, self._poll_s):
                    await self._exchange_once(connection)
                self._stations.stop()
                await self._exchange_once(connection)
            except PlcError as error:
                self._error = str(error)
                await is_set_within(stop, delay_s * random.uniform(0.5, 1))  # noqa: S311  no secret
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
            finally:
                connection.close()

    async def _exchange_once(self, connection: Connection) -> None:
        for index in range(len(self._stations)):
            await self._exchange(connection, index)

    async def _exchange(self, connection: Connection, index: int) -> None:
        """Read a camera's block, and write into it what has changed."""
        base = self._base + index * STRIDE
        words = await connection.read(base, BLOCK_WORDS)
        stands = words[STATUS_OFFSET:]
        if decode(IDENTITY, stands)["session"] != self._stations.session:
            await self._introduce(connection, index)
            return
        control = decode(CONTROL, words)
        levels = word_to_bits(int(control["control"]), len(CONTROL_BITS))
        changes: dict[str, bool | int] = dict(zip(CONTROL_BITS, levels, strict=True))
        self._stations.observe(index, changes | {"product": int(control["product"])})
        now, place = status_words(self._stations.status(index)), IDENTITY_WORDS
        # The values go first: a PLC that sees a result ready must see its score, too.
        if now[place + 1 :] != stands[place + 1 :]:
            await connection.write(base + STATUS_OFFSET + place + 1, now[place + 1 :])
        if now[place] != stands[place]:
            await connection.write(base + STATUS_OFFSET + place, [now[place]])

    async def _introduce(self, connection: Connection, index: int) -> None:
        """Write everything, since what stands there is not from this edgerd: it has started anew, or the PLC has.

        Nowhere else is the session written, so a PLC that restarts between a reading and the writing after it is
        noticed at the next reading.
        """
        self._stations.desynchronise(index)
        address = self._base + index * STRIDE + STATUS_OFFSET
        words = status_words(self._stations.status(index))
        # The status word goes first, because the one that stands there may say that a result is ready.
        await connection.write(address + IDENTITY_WORDS, words[IDENTITY_WORDS:])
        await connection.write(address, words[:IDENTITY_WORDS])
