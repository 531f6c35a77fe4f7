"""The slots for frames of one size and format: their buffers, the kernel that reads them, and the work per frame."""

from __future__ import annotations

from collections.abc import Sequence

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cuda.context import Context
from edgerd.cuda.kernels.plan import FrameLayout
from edgerd.cuda.kernels.preprocess import Preprocessor
from edgerd.cuda.memory import Memory
from edgerd.data.preprocess import check_layout
from edgerd.inspection.gpu.lanes import FrameWork, Lane
from edgerd.inspection.guards import frame_size
from edgerd.inspection.slots import Slots
from edgerd.types import Frame


class FrameSlots:
    """Allocated, captured, and run once.

    Attributes:
        layout: Of the frames.
        slots: The buffers, uint8 in the shape of a frame; (cameras, ...) for several cameras.
        works: The work for the frame in each.
        reason: Why the work is not captured as graphs; empty where it is.
    """

    def __init__(
        self,
        gpu: Context,
        lanes: Sequence[Lane],
        layout: FrameLayout,
        spec: PreprocessSpec,
        *,
        n_slots: int,
        cameras: int = 1,
        capture: bool = True,
        profile: bool = False,
    ) -> None:
        """Make them; nothing may be under way on the lanes.

        Args:
            gpu: The lanes'.
            lanes: Slots take turns through them.
            layout: Of the frames.
            spec: The preprocessing.
            n_slots: How many.
            cameras: Frames per slot.
            capture: False to enqueue each frame's work anew.
            profile: Let the lanes measure the engine.

        Raises:
            SpecError: The preprocessing does not fit such frames.
            MissingDependencyError: No compiler for this GPU.
            DeviceError: The GPU does not have enough memory, or refuses the work.
        """
        self.layout = layout
        self._lanes = lanes
        self._gpu = gpu
        self._memory = Memory(gpu)
        self._kernel: Preprocessor | None = None
        self.works: list[FrameWork] = []
        self.reason = ""
        try:
            self._kernel = Preprocessor(gpu, self._memory, layout, spec, cameras)
            frames = [self._memory.frame(cameras * layout.stride) for _ in range(n_slots)]
            self._memory.seal()
            for number, frame in enumerate(frames):
                lane = self.lane_of(number)
                kernel = self._kernel.bind(frame.address, lane.tiles_address)
                work = FrameWork(gpu, lane, frame, kernel, capture=capture and not self.reason, profile=profile)
                self.reason = self.reason or work.reason
                self.works.append(work)
                work.launch()  # the first of a graph is slow
                lane.wait()
        except BaseException:
            self._free()
            raise
        shape = (cameras,) * (cameras > 1) + layout.shape
        self.slots = Slots([frame.host.reshape(shape) for frame in frames])

    def lane_of(self, number: int) -> Lane:
        """The lane through which a slot's frame goes."""
        return self._lanes[number % len(self._lanes)]

    def free(self) -> bool:
        """Give everything back, unless a buffer is lent; whether it was. No buffer is lent any more after this.

        No frame in these slots may be under way.
        """
        if not self.slots.withdraw():
            return False
        self._free()
        return True

    def _free(self) -> None:
        for work in self.works:
            work.close()
        if self._kernel:
            self._kernel.close()
        self._memory.free()


def layout_of(frame: Frame) -> FrameLayout:
    """How a frame lies in a slot.

    Raises:
        SpecError: Its data is not laid out as its pixel format says.
    """
    check_layout(frame)
    width, height = frame_size(frame)
    return FrameLayout(frame.pixel_format, height, width)
