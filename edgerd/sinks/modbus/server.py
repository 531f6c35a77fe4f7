"""A Modbus TCP server: the PLC writes its control word to edgerd, and reads status and results from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from edgerd.errors import InputError
from edgerd.sinks.hosts import AllowedClients, check_can_listen, is_loopback
from edgerd.sinks.loop_thread import LoopThread
from edgerd.sinks.modbus.link import ModbusLink, stations_for
from edgerd.sinks.modbus.memory import Memory
from edgerd.triggers import Trigger


class ModbusServer(ModbusLink):
    """Serves the register map of docs/reference/modbus.md in a thread of its own, from the moment that it is made.

    Args:
        cameras: Names of the cameras, in the order of their blocks.
        on_trigger: Called once for each part, in the server's thread. It must return at once; if it raises, the part's
            result is ERROR.
        host: Address to listen at. Modbus has no passwords, so it is this machine alone unless something else is asked.
        port: TCP port; 0 for any that is free. 502 is Modbus's own and needs a right on most systems.
        allowed_clients: IP addresses or networks that may connect; must be given where `host` is not loopback.
        alive_timeout_s: If `alive` is not called for so long, the PLC is to take the line for dead.

    Attributes:
        port: The port that it listens at.

    Raises:
        EdgerdError: It cannot listen there.
        InputError: The cameras or the allowed clients cannot be used.
        MissingDependencyError: pymodbus is not installed.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        on_trigger: Callable[[Trigger], None],
        *,
        host: str = "127.0.0.1",
        port: int = 502,
        allowed_clients: Collection[str] = (),
        alive_timeout_s: float = 1.0,
    ) -> None:
        super().__init__(stations_for(cameras, on_trigger, alive_timeout_s))
        if not allowed_clients and not is_loopback(host):
            raise InputError(
                f"Modbus at {host} would let anybody in the network trigger and acknowledge parts.",
                expected="the addresses of those who may, since Modbus itself knows no passwords",
                hint="Name the PLC as an allowed client, or listen at 127.0.0.1.",
            )
        self._allowed = AllowedClients(allowed_clients)
        check_can_listen(host, port)
        self.port = port
        self._host = host
        self._thread = LoopThread("modbus server", self._serve)
        self._thread.start()

    async def _serve(self, has_begun: Callable[[], None], stop: asyncio.Event) -> None:
        from edgerd.sinks.modbus.tcp import Listener, stop_server

        listener = Listener(Memory(self._stations), len(self._stations), (self._host, self.port), self._allowed)
        await listener.serve_forever(background=True)
        self.port = listener.port
        has_begun()
        await stop.wait()
        await stop_server(listener)
