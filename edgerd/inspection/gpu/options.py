"""How the camera step uses a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgerd.cuda.context import Wait
from edgerd.errors import InputError

Mode = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """How the loop uses a GPU.

    Attributes:
        mode: "latency": one frame at a time. "throughput": a frame is uploaded while the one before is inferred.
        slots: Frames of one camera in pinned memory: those under way, the one that the camera writes, and the one that
            waits. With two, frames are copied by the camera's thread; with one, by the run's.
        wait: Sleep until the GPU is done, or turn in a loop, which answers sooner and costs a core.
        keep_warm: While no frame comes, run the engine now and then, so that the GPU keeps its clocks up.
        capture: False to enqueue each frame's work anew, without graphs.
        profile: Measure the engine apart, which costs a few microseconds per frame.
    """

    mode: Mode = "latency"
    slots: int = 3
    wait: Wait = "blocking"
    keep_warm: bool = True
    capture: bool = True
    profile: bool = False

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise InputError(f"{self.slots} slots hold no frame.", expected="1 or more", hint="--slots 3")

    @property
    def depth(self) -> int:
        """Frames that may be under way at once; from three slots on, one is left to the camera."""
        return max(min(self.slots, 2), self.slots - 1) if self.mode == "throughput" else 1
