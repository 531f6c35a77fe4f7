"""What the line says about its cameras, kept until the OPC UA thread has written it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edgerd.events import FrameVerdict, uuid7
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Verdict

COMPLETED: Final = 1
FAILED: Final = 4
"""Values of OPC 40100-1's ResultStateDataType."""

_VISION_STATES: Final = {
    CameraState.STARTING: "Preoperational",
    CameraState.READY: "Operational",
    CameraState.STOPPED: "Halted",
    CameraState.ERROR: "Error",
}
_KEPT_RESULTS = 1000
_KEPT_TRIGGERS = 100


@dataclass(frozen=True, slots=True)
class CameraResult:
    """A verdict with OPC 40100-1's names for it.

    Attributes:
        camera: Name of the camera.
        result_id: UUIDv7, unique to this result.
        result_state: COMPLETED, or FAILED where there is no decision.
        creation_time: Unix seconds, UTC: when the verdict was reached.
        job_id: Id of the trigger that asked for it; empty where the camera runs freely.
        product_id: Index of the product as text; empty where none was named.
        verdict: "OK", "NG" or "NO_DECISION".
        score: The score; -1 where there is none.
        content: The verdict's own JSON form, with None for what is no finite number.
    """

    camera: str
    result_id: str
    result_state: int
    creation_time: float
    job_id: str
    product_id: str
    verdict: str
    score: float
    content: dict[str, Any]


@dataclass
class _Camera:
    state: CameraState = CameraState.STARTING
    triggers: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_TRIGGERS))
    is_continuous: bool = False


class Cameras:
    """States and results of the cameras. Not safe for several threads: whoever uses it holds a lock.

    At most 1000 results wait to be written; then the oldest is dropped and counted.

    Args:
        names: Names of the cameras; others are ignored.

    Attributes:
        dropped: How many results were dropped.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.dropped = 0
        self._cameras = {name: _Camera() for name in names}
        self._results: deque[CameraResult] = deque()

    def set_state(self, camera: str, state: CameraState) -> None:
        """A camera can judge parts now, or cannot."""
        if camera in self._cameras:
            self._cameras[camera].state = state

    def begin(self, trigger: Trigger) -> None:
        """A trigger was taken, from wherever it came."""
        if trigger.camera in self._cameras:
            self._cameras[trigger.camera].triggers.append(trigger.id)

    def add(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """A verdict was reached."""
        name = trigger.camera if trigger else verdict.camera
        camera = self._cameras.get(name)
        if camera is None:
            return
        camera.is_continuous = trigger is None
        if trigger and trigger.id in camera.triggers:
            camera.triggers.remove(trigger.id)
        if len(self._results) == _KEPT_RESULTS:
            self._results.popleft()
            self.dropped += 1
        self._results.append(_result(name, verdict, trigger))

    def take_results(self) -> list[CameraResult]:
        """The results since the last call, oldest first."""
        results = list(self._results)
        self._results.clear()
        return results

    def states(self, is_alive: bool) -> dict[str, tuple[str, str]]:
        """For each camera the states of VisionStateMachine and of AutomaticModeStateMachine.

        Args:
            is_alive: Whether the line is; without it, an operational camera is in Error.
        """
        return {name: _states(camera, is_alive) for name, camera in self._cameras.items()}


def _states(camera: _Camera, is_alive: bool) -> tuple[str, str]:
    if camera.state is not CameraState.READY:
        return _VISION_STATES[camera.state], ""
    if not is_alive:
        return _VISION_STATES[CameraState.ERROR], ""
    if camera.triggers:
        return _VISION_STATES[CameraState.READY], "SingleExecution"
    return _VISION_STATES[CameraState.READY], "ContinuousExecution" if camera.is_continuous else "Ready"


def _result(camera: str, verdict: FrameVerdict, trigger: Trigger | None) -> CameraResult:
    score = verdict.inspection.score
    return CameraResult(
        camera=camera,
        result_id=uuid7(),
        result_state=FAILED if verdict.inspection.verdict is Verdict.NO_DECISION else COMPLETED,
        creation_time=verdict.decided_at,
        job_id=trigger.id if trigger else "",
        product_id="" if trigger is None or trigger.product is None else str(trigger.product),
        verdict=verdict.inspection.verdict.value,
        score=score if score is not None and math.isfinite(score) else -1.0,
        content=_finite(verdict.to_json()),
    )


def _finite(value: Any) -> Any:
    """A JSON value with None for each number that JSON has no form for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
