"""What server and client have in common towards the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgerd.errors import MissingDependencyError
from edgerd.events import FrameVerdict
from edgerd.sinks.loop_thread import LoopThread
from edgerd.sinks.modbus.handshake import Outputs
from edgerd.sinks.modbus.stations import Stations
from edgerd.sinks.plc import CameraState, PlcLink
from edgerd.triggers import Trigger


class ModbusLink(PlcLink):
    """A link over stations and a thread; the base of `ModbusServer` and `ModbusClient`.

    Args:
        stations: The cameras.
    """

    def __init__(self, stations: Stations) -> None:
        self._stations = stations
        self._thread: LoopThread | None = None

    @property
    def failure(self) -> str | None:
        """What `on_trigger` raised last, one sentence; None where it never did."""
        return self._stations.failure

    def outputs(self, camera: str) -> Outputs:
        """What the PLC is shown about a camera now, with the counts of triggers not taken and results discarded.

        Raises:
            KeyError: The PLC was not told of this camera.
        """
        return self._stations.outputs(camera)

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Hand over what was found in one frame, as the answer to a trigger or as the camera's latest verdict."""
        self._stations.publish(verdict, trigger)

    def set_state(self, camera: str, state: CameraState) -> None:
        """Say whether a camera can judge parts now; without it, a trigger is not taken."""
        self._stations.set_state(camera, state)

    def alive(self) -> None:
        """Say that the line still turns; the heartbeat is made of these calls."""
        self._stations.alive()

    def close(self) -> None:
        """End the connections and the thread; safe to call twice."""
        if self._thread:
            self._thread.stop()


def stations_for(cameras: Sequence[str], on_trigger: Callable[[Trigger], None], alive_timeout_s: float) -> Stations:
    """Stations, where pymodbus is installed.

    Raises:
        MissingDependencyError: It is not.
        InputError: The cameras or the time-out cannot be used.
    """
    try:
        import pymodbus  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"pymodbus cannot be imported: {error}.",
            expected="pymodbus, to talk Modbus TCP to a PLC",
            hint='pip install "edgerd[modbus]"',
        ) from error
    return Stations(cameras, on_trigger, alive_timeout_s)
