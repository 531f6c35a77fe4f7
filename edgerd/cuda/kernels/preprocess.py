"""The preprocessing on the GPU: raw frames to tiles, in one kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_void_p
from typing import Any

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.cuda.context import Context
from edgerd.cuda.kernels.compilers import INSTALL
from edgerd.cuda.kernels.cubins import cubins
from edgerd.cuda.kernels.plan import FrameLayout, plan_launch
from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceError


class Preprocessor:
    """The loaded kernel for one frame layout and spec.

    Its output agrees with `edgerd.data.preprocess` to within 1 of 255. It is loaded and launched through
    `Context.driver`, because each launch by pycuda calls a function that CUDA deprecated in version 4.

    Attributes:
        output_shape: Shape of the output, (cameras * tiles, H, W, 3) uint8.
    """

    def __init__(
        self, context: Context, memory: Memory, layout: FrameLayout, spec: PreprocessSpec, cameras: int = 1
    ) -> None:
        """Compile the kernel, or take it from the cache, and load it.

        Args:
            context: The GPU.
            memory: Where the kernel's table of source pixels is allocated.
            layout: The layout of the frames in memory.
            spec: The preprocessing.
            cameras: Frames per launch.

        Raises:
            SpecError: The spec does not fit frames of this size.
            MissingDependencyError: No compiler for this GPU.
            DeviceError: The GPU refuses the kernel.
        """
        self._context = context
        self._plan = plan_launch(layout, spec, cameras)
        self._taps = memory.constant(self._plan.taps)
        self._module: c_void_p | None = _loaded(context)
        self._function = c_void_p()
        self._call("cuModuleGetFunction", ctypes.byref(self._function), self._module, self._plan.kernel.encode())
        self.output_shape = self._plan.output_shape

    def bind(self, source: int, tiles: int) -> Callable[[Any], None]:
        """A function that enqueues the kernel on a `pycuda.driver.Stream`.

        Args:
            source: Device address of the first frame, as `PinnedBuffer.address`.
            tiles: Device address of uint8 `output_shape`.

        Raises:
            ValueError: The source is not at a multiple of 16 bytes.
        """
        parameters = ctypes.create_string_buffer(self._plan.parameters(source, tiles, self._taps))
        arguments = (c_void_p * 1)(ctypes.addressof(parameters))
        sizes = (*self._plan.grid, *self._plan.block)

        def enqueue(stream: Any, _kept: object = parameters) -> None:  # kept alive: `arguments` only points to it
            self._call("cuLaunchKernel", self._function, *sizes, 0, c_void_p(stream.handle), arguments, None)

        return enqueue

    def close(self) -> None:
        """Unload the kernel; safe to call twice. The GPU must have finished all its launches."""
        module, self._module = self._module, None
        if module is not None and not self._context.is_lost:
            self._call("cuModuleUnload", module)

    def _call(self, name: str, *arguments: Any) -> None:
        self._context.check(getattr(self._context.driver.library, name)(*arguments), name)


def make_kernels(context: Context) -> None:
    """Compile the kernels for this GPU, unless they are in the cache from an earlier start. It takes seconds.

    Raises:
        MissingDependencyError: No compiler for this GPU.
        DeviceError: The GPU refuses them.
    """
    module = _loaded(context)
    context.check(context.driver.library.cuModuleUnload(module), "cuModuleUnload")


def _loaded(context: Context) -> c_void_p:
    """The first module that the driver loads."""
    refusals = []
    for image in cubins(context.capability):
        try:
            return _load(context, image)
        except DeviceError as error:  # noqa: PERF203 -- the next one may be right
            if context.is_lost:
                raise
            refusals.append(error)
    raise DeviceError(
        f"The driver does not load the kernels that the compilers here make.\n{refusals[-1].what}",
        expected="a compiler of the driver's CUDA (nvidia-smi shows which), or an older one",
        hint=INSTALL,
    ) from refusals[-1]


def _load(context: Context, image: bytes) -> c_void_p:
    module = c_void_p()
    context.check(context.driver.library.cuModuleLoadData(ctypes.byref(module), image), "cuModuleLoadData")
    return module
