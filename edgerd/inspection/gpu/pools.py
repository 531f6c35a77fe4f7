"""A camera's buffers for frames, in pinned memory, and for each buffer the captured work for the frame in it.

A pool is for frames of one size and format. Where a camera's frames change, it gets another pool. Each camera has a
pool of its own, so that cameras with frames of different sizes do not make each other capture again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cuda.graphs import Step
from edgerd.cuda.kernels.plan import FrameLayout, plan_launch
from edgerd.cuda.kernels.preprocess import Preprocessor
from edgerd.cuda.memory import Memory, PinnedBuffer
from edgerd.data.preprocess import check_layout
from edgerd.inspection.gpu.lanes import Lane, Lanes
from edgerd.inspection.guards import frame_size
from edgerd.inspection.slots import Slots
from edgerd.types import Frame, UInt8Array


class FrameWork:
    """The work for one frame: upload, preprocessing, engine, download. It is captured once and replayed per frame.

    To measure the engine it is captured as three graphs, with an event between two of them.

    Attributes:
        reason: Why the work is not captured; empty where it is.
    """

    def __init__(
        self,
        lanes: Lanes,
        lane: Lane,
        frame: PinnedBuffer,
        kernel: Callable[[Any], None],
        *,
        capture: bool,
    ) -> None:
        """Run the work once, capture it, and run what was captured, because the first run of a graph is slow.

        Args:
            lanes: All lanes; their options say whether the engine is measured.
            lane: The lane on which the work is done; nothing may be under way there.
            frame: The buffer that the frame lies in.
            kernel: Enqueues the preprocessing, from that buffer to the lane's tiles.
            capture: False to enqueue the work call by call each time.

        Raises:
            DeviceError: The work fails.
        """
        self._lane = lane

        def prepare() -> None:
            frame.upload(lane.stream)
            kernel(lane.stream)

        def everything() -> None:
            prepare()
            lane.infer()
            lane.download()

        parts: Sequence[Callable[[], None]] = (
            (prepare, lane.infer, lane.download) if lanes.options.profile else (everything,)
        )
        self._steps: list[Step] = []
        try:
            for part in parts:
                self._steps.append(Step(lanes.gpu, lane.stream, part, capture=capture))
            self.launch()
            lane.wait()
        except BaseException:
            self.close()
            raise
        self.reason = next((step.reason for step in self._steps if not step.is_graph), "")

    def launch(self) -> None:
        """Enqueue the work.

        Raises:
            DeviceError: The GPU refuses, or is lost.
        """
        if len(self._steps) == 1:
            self._steps[0].launch()
            return
        before, engine, after = self._steps
        before.launch()
        self._lane.mark(0)
        engine.launch()
        self._lane.mark(1)
        after.launch()

    def close(self) -> None:
        """Free the graphs; safe to call twice. Nothing may be under way on the lane."""
        for step in self._steps:
            step.close()


class FramePool:
    """Buffers for frames of one layout, and the work for each of them on each lane.

    Attributes:
        layout: Size and pixel format of the frames.
        slots: The buffers, uint8 in the shape of a frame, and who holds each.
        works: `works[slot][lane]` is the work for the frame in a slot.
        reason: Why the work is not captured as graphs; empty where it is.
    """

    def __init__(self, lanes: Lanes, layout: FrameLayout, spec: PreprocessSpec, *, capture: bool) -> None:
        """Allocate, capture, and run everything once; nothing may be under way on the lanes.

        Args:
            lanes: Where the work is done.
            layout: Size and pixel format of the frames.
            spec: The preprocessing.
            capture: False to enqueue each frame's work anew.

        Raises:
            SpecError: The preprocessing does not fit such frames.
            MissingDependencyError: No compiler for this GPU's kernels is installed.
            DeviceError: The GPU does not have enough memory, or refuses the work.
        """
        self.layout = layout
        self.works: list[list[FrameWork]] = []
        self.reason = ""
        self._memory = Memory(lanes.gpu)
        self._kernel: Preprocessor | None = None
        try:
            self._kernel = Preprocessor(lanes.gpu, self._memory, layout, spec)
            frames = [self._memory.frame(layout.stride) for _ in range(lanes.options.slots)]
            self._memory.seal()
            for frame in frames:
                self.works.append([])
                for lane in lanes:
                    kernel = self._kernel.bind(frame.address, lane.tiles_address)
                    work = FrameWork(lanes, lane, frame, kernel, capture=capture and not self.reason)
                    self.reason = self.reason or work.reason
                    self.works[-1].append(work)
        except BaseException:
            self._free()
            raise
        self.slots = Slots([frame.host.reshape(layout.shape) for frame in frames])

    def claim(self, data: UInt8Array) -> tuple[int, bool]:
        """Copy a frame into a free slot, unless it lies in a slot already.

        Returns:
            The number of the slot, and whether the frame was copied there: such a slot is freed with `release`, while
            others are given back by whoever brought the frame.

        Raises:
            DeviceError: All slots are in use.
        """
        number, is_there = self.slots.claim(data)
        if not is_there:
            np.copyto(self.slots[number], data)
        return number, not is_there

    def release(self, number: int) -> None:
        """Free a slot that a frame was copied to."""
        self.slots.give_back(self.slots[number])

    def free(self) -> bool:
        """Free everything, unless a buffer is still lent; in either case no buffer is lent from now on.

        No frame of this pool may be under way.

        Returns:
            Whether everything was freed.
        """
        if not self.slots.withdraw():
            return False
        self._free()
        return True

    def _free(self) -> None:
        for works in self.works:
            for work in works:
                work.close()
        if self._kernel:
            self._kernel.close()
        self._memory.free()


class CameraPools:
    """The pool for a camera's frames, and its older pools of which a buffer is still lent.

    `lend`, `holds`, `has_room` and `give_back` are `edgerd.inspection.slots.Buffers`, for the camera's thread; the rest
    is for the thread of the engine.

    Args:
        lanes: Where the work is done.
        spec: The preprocessing.

    Attributes:
        lanes: Where the work is done.
    """

    def __init__(self, lanes: Lanes, spec: PreprocessSpec) -> None:
        self.lanes = lanes
        self._spec = spec
        self._pool: FramePool | None = None
        self._all: tuple[FramePool, ...] = ()  # a tuple, because the camera's thread reads it at any time

    def lend(self) -> UInt8Array | None:
        """A free buffer in the shape of a frame; None where there is none, and before the first frame."""
        pool = self._pool
        return pool.slots.lend() if pool else None

    def holds(self, data: UInt8Array) -> bool:
        """Whether this data lies in a buffer of this camera."""
        return any(pool.slots.holds(data) for pool in self._all)

    def has_room(self, data: UInt8Array) -> bool:
        """Whether a frame can be judged now; one of another shape has to wait until no buffer is in use."""
        if self._pool is None:
            return True
        slots = self._pool.slots
        return slots.has_room(data) if data.shape == slots[0].shape else not slots.is_lent

    def give_back(self, data: UInt8Array) -> None:
        """The buffer in which this data lies is free again; nothing where it lies elsewhere."""
        for pool in self._all:
            pool.slots.give_back(data)

    def pool_for(self, frame: Frame) -> FramePool:
        """The pool for such frames; a new one where the camera's frames have changed.

        The old one goes first, unless a buffer of it is lent: there may not be the memory for both.

        Raises:
            SpecError: The frame is not laid out as its pixel format says, or the preprocessing does not fit it.
            MissingDependencyError: No compiler for this GPU's kernels is installed.
            DeviceError: The GPU does not have enough memory, or refuses the work.
        """
        layout = _layout_of(frame)
        if self._pool is None or self._pool.layout != layout:
            plan_launch(layout, self._spec)  # raises for a frame that does not fit, while the old pool is still there
            self.lanes.settle()
            self._pool = self._make(layout)
        return self._pool

    def free(self) -> None:
        """Free all pools; safe to call twice. A buffer in which a stuck driver may still write stays."""
        self._pool = None
        self._all = tuple(pool for pool in self._all if not pool.free())

    def _make(self, layout: FrameLayout) -> FramePool:
        self.free()
        notes, wanted = self.lanes.notes, self.lanes.options.capture
        made = FramePool(self.lanes, layout, self._spec, capture=wanted and not notes)
        self._all = (*self._all, made)
        if made.reason and wanted and not notes:
            notes.append(f"The work per frame is enqueued call by call, not as one graph: {made.reason}")
        return made


def _layout_of(frame: Frame) -> FrameLayout:
    check_layout(frame)
    width, height = frame_size(frame)
    return FrameLayout(frame.pixel_format, height, width)
