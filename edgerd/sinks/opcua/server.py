"""An OPC UA server in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgerd.errors import InputError, MissingDependencyError
from edgerd.events import FrameVerdict
from edgerd.sinks.heartbeat import Heartbeat
from edgerd.sinks.hosts import check_can_listen, is_loopback
from edgerd.sinks.loop_thread import LoopThread, is_set_within
from edgerd.sinks.opcua.cameras import Cameras
from edgerd.sinks.opcua.security import OpcUaSecurity
from edgerd.sinks.plc import CameraState, PlcLink
from edgerd.triggers import Trigger

if TYPE_CHECKING:
    from edgerd.sinks.opcua.address_space import AddressSpace


class OpcUaServer(PlcLink):
    """Serves results and states of the cameras as docs/reference/opcua.md has them, from the moment that it is made.

    Clients only read: nothing that they send reaches the line.

    Args:
        cameras: Names of the cameras.
        host: Address to listen at; without `security` it must be loopback.
        port: TCP port; 0 for any that is free.
        security: Certificate, user and password. None lets anybody on this machine read, without encryption.
        alive_timeout_s: If `alive` is not called for so long, the cameras are shown as in error.

    Attributes:
        port: The port that it listens at.

    Raises:
        EdgerdError: It cannot listen there.
        InputError: The cameras, the certificate or its key cannot be used, or security is missing.
        MissingDependencyError: asyncua is not installed.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        *,
        host: str = "127.0.0.1",
        port: int = 4840,
        security: OpcUaSecurity | None = None,
        alive_timeout_s: float = 1.0,
    ) -> None:
        _require_asyncua()
        if not cameras or len(set(cameras)) != len(cameras) or not all(cameras):
            raise InputError(
                f"OPC UA cannot show these cameras: {', '.join(cameras) or 'none'}.",
                expected="at least one, each with a name of its own",
            )
        if security is None and not is_loopback(host):
            raise InputError(
                f"OPC UA at {host} would let anybody in the network read, without encryption.",
                expected="a certificate, a user and a password",
                hint="docs/reference/opcua.md has a command that makes a certificate; or listen at 127.0.0.1.",
            )
        self.port = check_can_listen(host, port)
        self._names, self._host, self._security = list(cameras), host, security
        self._lock = threading.Lock()
        self._cameras = Cameras(cameras)
        self._heartbeat = Heartbeat(alive_timeout_s)
        self._wake = asyncio.Event()
        self._is_woken = False
        self._thread = LoopThread("opc ua server", self._serve)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many results were dropped because they came faster than they could be shown."""
        with self._lock:
            return self._cameras.dropped

    def begin(self, trigger: Trigger) -> None:
        """Say that a trigger was taken, from wherever it came: its camera is in SingleExecution until its verdict."""
        with self._lock:
            self._cameras.begin(trigger)
        self._tell()

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Hand over what was found in one frame, as the answer to a trigger or of a camera that runs freely."""
        with self._lock:
            self._cameras.add(verdict, trigger)
        self._tell()

    def set_state(self, camera: str, state: CameraState) -> None:
        """Say whether a camera can judge parts now; every camera begins as STARTING."""
        with self._lock:
            self._cameras.set_state(camera, state)
        self._tell()

    def alive(self) -> None:
        """Say that the line still turns; the heartbeat is made of these calls."""
        with self._lock:
            self._heartbeat.alive(time.monotonic())

    def close(self) -> None:
        """Show what is still to be shown, and end connections and thread; safe to call twice."""
        self._thread.stop()

    def _tell(self) -> None:
        """Wake the thread, once for all that it has not seen yet."""
        with self._lock:
            if self._is_woken:
                return
            self._is_woken = True
        self._thread.call(self._wake.set)

    async def _serve(self, has_begun: Callable[[], None], stop: asyncio.Event) -> None:
        from edgerd.sinks.opcua.address_space import AddressSpace

        space = AddressSpace(self._host, self.port, self._security)
        await space.start(self._names, round(1000 * self._heartbeat.timeout_s))
        stopped = asyncio.ensure_future(stop.wait())
        stopped.add_done_callback(lambda _: self._wake.set())
        try:
            await self._show(space)
            has_begun()
            while not stop.is_set():
                await is_set_within(self._wake, self._heartbeat.timeout_s / 8)
                await self._show(space)
            await self._show(space)
        finally:
            stopped.cancel()
            await space.stop()

    async def _show(self, space: AddressSpace) -> None:
        self._wake.clear()
        with self._lock:
            self._is_woken = False
            results = self._cameras.take_results()
            states = self._cameras.states(self._heartbeat.is_alive(time.monotonic()))
            count = self._heartbeat.count
        await space.write_heartbeat(count)
        for result in results:
            await space.write_result(result)
        for camera, (vision, automatic) in states.items():
            await space.write_states(camera, vision, automatic)


def _require_asyncua() -> None:
    try:
        import asyncua  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"asyncua cannot be imported: {error}.",
            expected="asyncua, to serve OPC UA",
            hint='pip install "edgerd[opcua]"',
        ) from error
