"""The camera step on a GPU: a raw frame in pinned memory goes in, tiles, score and map come out on the host.

Slots are for frames: each has a buffer in pinned memory and its counterpart on the device. Lanes are for work: each has
a stream, an execution of the engine and its results. Per slot everything from the frame's upload to the results'
download is captured as one graph. In mode `latency` all slots share one lane, and one frame is under way at a time: it
has the GPU to itself. In mode `throughput` each slot has a lane of its own, and the upload of a frame overlaps the
inference of the one before. Lanes stay; slots are made again for frames of another size or format.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cuda.context import Wait
from edgerd.cuda.kernels.plan import FrameLayout, plan_launch
from edgerd.cuda.kernels.preprocess import make_kernels
from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceLostError, InputError
from edgerd.inspection.gpu.frame_slots import FrameSlots
from edgerd.inspection.gpu.lanes import Lane
from edgerd.runtimes.device import DeviceEngine
from edgerd.types import UInt8Array

Mode = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """How the loop uses a GPU.

    Attributes:
        mode: "latency": one frame at a time. "throughput": a frame is uploaded while the one before is inferred.
        slots: Frames in pinned memory: those under way, the one that the camera writes, and the one that waits. With
            two, frames are copied by the camera's thread; with one, by the run's.
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


class DeviceStep:
    """Slots and lanes over an engine. Everything but what `Buffers` has in the engine's thread.

    Attributes:
        options: As given.
        notes: What is worth knowing, a sentence each.
        lanes: Where the engine runs: one in mode `latency`, one per slot in `throughput`.
    """

    def __init__(
        self, engine: DeviceEngine, spec: PreprocessSpec, options: DeviceOptions | None = None, *, cameras: int = 1
    ) -> None:
        """Allocate what does not depend on the frames.

        Args:
            engine: Open; stays open.
            spec: The preprocessing.
            options: The defaults where None.
            cameras: Frames per step; they are judged as one batch.

        Raises:
            InputError: The engine does not take so many tiles at once.
            DeviceError: The GPU does not have enough memory.
        """
        self.options = options = options or DeviceOptions()
        self.notes: list[str] = []
        self._gpu = engine.gpu
        self._gpu.wait_by(options.wait)
        self._spec = spec
        self._cameras = cameras
        self._memory = Memory(self._gpu)
        self._frames: FrameSlots | None = None
        # With those that wait until a buffer that is lent comes back. The camera's thread reads it at any time.
        self._all_frames: tuple[FrameSlots, ...] = ()
        n_lanes = options.slots if options.mode == "throughput" else 1
        try:
            self.lanes = [
                Lane(engine, self._memory, spec, cameras * spec.n_tiles, profile=options.profile)
                for _ in range(n_lanes)
            ]
        except BaseException:
            self._memory.free()
            raise
        self._memory.seal()

    # for the camera's thread

    def lend(self) -> UInt8Array | None:
        """See `Buffers.lend`."""
        frames = self._frames
        return frames.slots.lend() if frames else None

    def holds(self, data: UInt8Array) -> bool:
        """See `Buffers.holds`."""
        return any(frames.slots.holds(data) for frames in self._all_frames)

    def has_room(self, data: UInt8Array) -> bool:
        """See `Buffers.has_room`. There is none for a frame of another shape while frames of this one are judged."""
        if self._frames is None:
            return True
        slots = self._frames.slots
        return slots.has_room(data) if data.shape == slots[0].shape else not slots.is_lent

    def give_back(self, data: UInt8Array) -> None:
        """See `Buffers.give_back`."""
        for frames in self._all_frames:
            frames.slots.give_back(data)

    # for the run

    def fits(self, layout: FrameLayout) -> bool:
        """Whether the slots are for frames of this layout."""
        return self._frames is not None and self._frames.layout == layout

    def prepare_for(self, layout: FrameLayout) -> None:
        """Make the slots for frames of a layout; nothing may be under way.

        The old ones go first, unless a buffer of them is lent: there may not be the memory for both.

        Raises:
            SpecError: The preprocessing does not fit such frames.
            MissingDependencyError: No compiler for this GPU.
            DeviceError: The GPU does not have enough memory, or refuses the work.
        """
        plan_launch(layout, self._spec, self._cameras)  # a frame that does not fit costs no slots
        self._frames = None
        self._all_frames = tuple(frames for frames in self._all_frames if not frames.free())
        made = FrameSlots(
            self._gpu,
            self.lanes,
            layout,
            self._spec,
            n_slots=self.options.slots,
            cameras=self._cameras,
            capture=self.options.capture and not self.notes,
            profile=self.options.profile,
        )
        self._all_frames = (*self._all_frames, made)
        self._frames = made
        if made.reason and self.options.capture and not self.notes:
            self.notes.append(f"The work per frame is enqueued call by call, not as one graph: {made.reason}")

    def launch(self, data: UInt8Array) -> Ticket:
        """Enqueue the work for the frame of each camera.

        Args:
            data: uint8, a frame of the layout that the slots are for; (cameras, ...) for several. Copied unless it
                lies in a slot.

        Raises:
            DeviceError: The GPU refuses, is lost, or all slots are in use.
        """
        frames = self._frames
        if frames is None:
            raise InputError("No slots were made for frames of this layout.", expected="`prepare_for` first")
        number, is_there = frames.slots.claim(data)
        ticket = Ticket(frames, number, frames.lane_of(number), is_copy=not is_there)
        try:
            if not is_there:
                np.copyto(frames.slots[number], data)
            frames.works[number].launch()
        except BaseException:
            ticket.release()
            raise
        return ticket

    def warm_up(self, n: int) -> None:
        """Make the kernels, run the engine on what lies in each lane's tiles, and wait; nothing may be under way.

        Raises:
            MissingDependencyError: No compiler for this GPU.
            DeviceError: It fails.
        """
        make_kernels(self._gpu)
        for _ in range(n):
            for lane in self.lanes:
                self._run_engine(lane)

    def keep_warm(self) -> None:
        """Run the engine once, if that is wanted; nothing may be under way.

        A frame that comes meanwhile waits for it: once, whatever the number of lanes.

        Raises:
            DeviceError: The GPU is lost.
        """
        if self.options.keep_warm:
            self._run_engine(self.lanes[0])

    def close(self) -> None:
        """Free everything; safe to call twice. A buffer in which a stuck driver may still write stays."""
        if not self._gpu.is_lost:
            with contextlib.suppress(DeviceLostError):
                for lane in self.lanes:
                    lane.wait()
        for frames in self._all_frames:
            frames.free()
        self._frames, self._all_frames, self.lanes = None, (), []
        self._memory.free()

    def _run_engine(self, lane: Lane) -> None:
        with self._gpu.errors():
            lane.infer()
        lane.wait()


class Ticket:
    """A frame under way.

    Attributes:
        lane: Where its results are, after `wait` and until `release`.
    """

    def __init__(self, frames: FrameSlots, number: int, lane: Lane, *, is_copy: bool) -> None:
        self.lane = lane
        self._frames = frames
        self._number = number
        self._is_copy = is_copy

    def wait(self) -> None:
        """Wait for the results.

        Raises:
            DeviceError: Something failed on the GPU, or it is lost.
        """
        self.lane.wait()

    def release(self) -> None:
        """Free the slot of a frame that was copied there; who brought a frame in a slot gives it back.

        Safe to call twice: by then the slot may be another frame's.
        """
        if self._is_copy:
            self._is_copy = False
            self._frames.slots.give_back(self._frames.slots[self._number])
