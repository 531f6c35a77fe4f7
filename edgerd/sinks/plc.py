"""What a line tells a PLC, whatever the protocol: verdicts, the state of each camera, and that it is alive."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from edgerd.events import FrameVerdict
from edgerd.triggers import Trigger


class CameraState(Enum):
    """Whether a camera can judge parts now."""

    STARTING = "starting"
    """Its engine is being loaded, or it has not been opened yet."""
    READY = "ready"
    """A trigger gets a verdict."""
    STOPPED = "stopped"
    """It was stopped on purpose."""
    ERROR = "error"
    """It is lost or failed; the line tries to bring it back."""


class PlcLink(Protocol):
    """A connection to a PLC. Every method returns at once and may be called from any thread.

    Cameras that the PLC was not told of are ignored: a line may have more cameras than the PLC asks.
    """

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Hand over what was found in one frame.

        Args:
            verdict: What was found.
            trigger: The trigger that asked for it; None where the camera runs freely, and the verdict's camera counts.
        """
        ...

    def set_state(self, camera: str, state: CameraState) -> None:
        """Say whether a camera can judge parts now; every camera begins as STARTING."""
        ...

    def alive(self) -> None:
        """Say that the line still turns; to be called at least twice within the link's time-out.

        The heartbeat that the PLC watches is made of these calls alone.
        """
        ...

    def close(self) -> None:
        """End the connection and its thread; safe to call twice."""
        ...
