"""What the PLC and the line share: a station per camera, safe to use from any thread."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgerd.errors import InputError
from edgerd.events import FrameVerdict
from edgerd.sinks.heartbeat import Heartbeat
from edgerd.sinks.modbus.handshake import ErrorCause, Handshake, Inputs, Outcome, Outputs, Result, result_of
from edgerd.sinks.modbus.registers import STRIDE, Latest, Status
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger

_LARGEST_ADDRESS = 0xFFFF


@dataclass
class _Station:
    camera: str
    handshake: Handshake = field(default_factory=Handshake)
    state: CameraState = CameraState.STARTING
    latest: Latest = field(default_factory=Latest)
    inputs: Inputs = field(default_factory=Inputs)
    trigger: Trigger | None = None
    sequence: int = 0


class Stations:
    """The cameras of a line as a PLC sees them, each with its handshake.

    Nothing here waits for anything but a lock that is held for microseconds, so the line is never held up.

    Args:
        cameras: Names of the cameras, in the order of their blocks.
        on_trigger: Called once for each part, in the thread that talks to the PLC. It must return at once. If it
            raises, the part's result is ERROR.
        alive_timeout_s: If `alive` is not called for so long, the line counts as dead: nothing is ready.

    Attributes:
        session: Random, 1 to 2**32 - 1: another one after each start.
        failure: What `on_trigger` raised last; None where it never did.

    Raises:
        InputError: There is no camera, one twice, or more than fit into the register map; or the time-out is not more
            than 0 and at most 60 seconds.
    """

    def __init__(
        self, cameras: Sequence[str], on_trigger: Callable[[Trigger], None], alive_timeout_s: float = 1.0
    ) -> None:
        if not cameras or len(set(cameras)) != len(cameras) or len(cameras) * STRIDE > _LARGEST_ADDRESS:
            raise InputError(
                f"A PLC cannot be told of these cameras: {', '.join(cameras) or 'none'}.",
                expected=f"between one and {_LARGEST_ADDRESS // STRIDE} cameras, each with a name of its own",
            )
        self.session = 1 + secrets.randbelow(0xFFFFFFFF)
        self.failure: str | None = None
        self._on_trigger = on_trigger
        self._lock = threading.Lock()
        self._heartbeat = Heartbeat(alive_timeout_s)
        self._stations = [_Station(camera) for camera in cameras]
        self._by_camera = {station.camera: station for station in self._stations}

    def __len__(self) -> int:
        return len(self._stations)

    def observe(self, index: int, changes: Mapping[str, bool | int]) -> None:
        """Take in what the PLC says about a camera, and pass its trigger on to the line.

        Args:
            index: Number of the camera, from 0.
            changes: Fields of `Inputs` that the PLC has written; it keeps the others.
        """
        station = self._stations[index]
        with self._lock:
            self._look_whether_online(station)
            station.inputs = replace(station.inputs, **changes)  # type: ignore[arg-type]
            sequence = station.handshake.observe(station.inputs)
            if sequence is None:
                return
            trigger = Trigger(
                camera=station.camera,
                id=f"{self.session:08x}-{sequence}",
                product=station.inputs.product or None,
                received_monotonic_s=time.monotonic(),
                received_at=time.time(),
            )
            station.trigger, station.sequence = trigger, sequence
        try:
            self._on_trigger(trigger)
        except Exception as error:  # noqa: BLE001  the PLC is told, and goes on with the next part
            self._refuse(station, trigger, error)

    def desynchronise(self, index: int) -> None:
        """The PLC has restarted: forget what it said about a camera, and the part in flight."""
        station = self._stations[index]
        with self._lock:
            station.inputs = Inputs()
            station.handshake.desynchronise()

    def status(self, index: int) -> Status:
        """What the PLC is to see of a camera now."""
        station = self._stations[index]
        with self._lock:
            self._look_whether_online(station)
            return Status(
                outputs=station.handshake.outputs(),
                heartbeat=self._heartbeat.count,
                heartbeat_timeout_ms=round(1000 * self._heartbeat.timeout_s),
                camera_state=station.state,
                session=self.session,
                latest=station.latest,
            )

    def inputs(self, index: int) -> Inputs:
        """What the PLC has said about a camera."""
        with self._lock:
            return self._stations[index].inputs

    def outputs(self, camera: str) -> Outputs:
        """The handshake's outputs for a camera, with its counts of triggers that were not taken and lost results.

        Raises:
            KeyError: The PLC was not told of this camera.
        """
        with self._lock:
            station = self._by_camera[camera]
            self._look_whether_online(station)
            return station.handshake.outputs()

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Hand over what was found in one frame; the answer to the trigger in flight becomes its part's result."""
        station = self._by_camera.get(trigger.camera if trigger else verdict.camera)
        if station is None:
            return
        with self._lock:
            result = result_of(verdict, product=(trigger and trigger.product) or 0)
            station.latest = Latest(station.latest.count + 1, result)
            if trigger and station.trigger and trigger.id == station.trigger.id:
                station.handshake.publish(station.sequence, result)

    def set_state(self, camera: str, state: CameraState) -> None:
        """Say whether a camera can judge parts now."""
        station = self._by_camera.get(camera)
        if station is not None:
            with self._lock:
                station.state = state

    def stop(self) -> None:
        """The line ends: no camera is ready any more. A part that was taken stays busy for ever."""
        with self._lock:
            for station in self._stations:
                station.state = CameraState.STOPPED

    def alive(self) -> None:
        """Say that the line still turns."""
        with self._lock:
            self._heartbeat.alive(time.monotonic())

    def _look_whether_online(self, station: _Station) -> None:
        is_alive = self._heartbeat.is_alive(time.monotonic())
        station.handshake.is_online = is_alive and station.state is CameraState.READY

    def _refuse(self, station: _Station, trigger: Trigger, error: Exception) -> None:
        result = Result(Outcome.ERROR, ErrorCause.NOT_TAKEN, product=trigger.product or 0)
        with self._lock:
            self.failure = f"The trigger {trigger.id} of camera {trigger.camera} was not taken: {error}"
            station.handshake.publish(station.sequence, result)
