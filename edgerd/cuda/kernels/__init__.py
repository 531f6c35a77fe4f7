"""The preprocessing on the GPU: raw frames to tiles, in one kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from edgerd.cuda.context import Context
from edgerd.cuda.kernels.cubins import cubin
from edgerd.cuda.kernels.plan import PARAMETER_BYTES, FrameLayout, plan_launch
from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceError
from edgerd.manifest import PreprocessSpec


class Preprocessor:
    """The kernel for one frame layout and spec, loaded.

    Agrees with `edgerd.data.preprocess` to within 1 of 255.

    Attributes:
        output_shape: Of the tiles it writes, (cameras * tiles, H, W, 3) uint8.
    """

    def __init__(
        self, context: Context, memory: Memory, layout: FrameLayout, spec: PreprocessSpec, cameras: int = 1
    ) -> None:
        """Compile, or take from the cache, and load.

        Args:
            context: The GPU.
            memory: Holds the kernel's table.
            layout: How the frames lie in memory.
            spec: The preprocessing.
            cameras: Frames per launch.

        Raises:
            SpecError: The spec does not fit frames of this size.
            MissingDependencyError: No compiler for this GPU.
            DeviceError: The GPU refuses the kernel.
        """
        self._context = context
        self._plan = plan_launch(layout, spec, cameras)
        self._module = _load(context)
        with context.errors():
            self._function = self._module.get_function(self._plan.kernel)
        self._function.prepare((f"{PARAMETER_BYTES}s",))
        self._taps = memory.constant(self._plan.taps)
        self.output_shape = self._plan.output_shape

    def bind(self, source: int, tiles: int) -> Callable[[Any], None]:
        """What enqueues the kernel on a stream, between two addresses.

        Args:
            source: Device address of the first frame, as `FrameBuffer.address`.
            tiles: Device address of uint8 `output_shape`.
        """
        parameters = self._plan.parameters(source, tiles, self._taps)
        launch = self._function.prepared_async_call
        return partial(_launch, launch, self._plan.grid, self._plan.block, parameters)


def _launch(
    call: Callable[..., None],
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    parameters: bytes,
    stream: Any,
) -> None:
    call(grid, block, stream, parameters)


def _load(context: Context) -> Any:
    """Load the module; a kept cubin that the driver refuses is damaged, and compiled again."""
    try:
        with context.errors():
            return context.cuda.module_from_buffer(cubin(context.capability))
    except DeviceError:
        if context.is_lost:
            raise
    with context.errors():
        return context.cuda.module_from_buffer(cubin(context.capability, fresh=True))
