"""How frames are judged on a GPU: what a user may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgerd.cuda.context import Wait
from edgerd.errors import InputError

Mode = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """How a GPU is used.

    Attributes:
        mode: "latency": one frame at a time. "throughput": a frame is uploaded while the engine judges the one before.
        slots: How many frames of one camera fit in pinned memory: those under way, the one that the camera writes, and
            the one that waits. With two slots the camera's thread copies each frame into one; with one slot the thread
            that judges does.
        wait: "blocking" sleeps until the GPU is done; "spinning" asks all the time, which answers sooner and costs a
            CPU core.
        keep_warm: Run the engine now and then while no frame comes, so that the GPU keeps its clocks up.
        capture: Capture the work for a frame as a CUDA graph; False enqueues each frame's work call by call.
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
        """How many frames may be under way at once; where there are three slots or more, one is left to the camera."""
        return max(min(self.slots, 2), self.slots - 1) if self.mode == "throughput" else 1
