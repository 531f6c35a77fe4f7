"""Memory of the camera loop, allocated before the first frame of a size and format, never while frames are processed.

On a GPU with its own memory, a buffer has a part in pinned host memory and a part in device memory, with copies between
them. On an integrated GPU it is one piece of pinned memory that CPU and GPU share, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgerd.cuda.context import Context
from edgerd.cuda.kernels.plan import READ_SLACK
from edgerd.errors import DeviceError
from edgerd.types import UInt8Array

_Item = TypeVar("_Item")


class PinnedBuffer:
    """Pinned host memory, and device memory of the same size unless the GPU maps the host's.

    Attributes:
        host: The pinned array. Any thread may write to a frame while no upload is going on; a result is valid after a
            download and a synchronise, until the next run.
        address: Address of the buffer on the device.
    """

    def __init__(self, context: Context, shape: Sequence[int], dtype: npt.DTypeLike, slack: int = 0) -> None:
        """Allocate.

        Args:
            context: The GPU.
            shape: Shape of the host's array.
            dtype: Data type of the host's array.
            slack: Bytes behind the array that the GPU may read.

        Raises:
            pycuda.driver.Error: There is not enough memory.
        """
        cuda = self._cuda = context.cuda
        self._device: Any = None
        flags = cuda.host_alloc_flags.DEVICEMAP if context.maps_host_memory else 0
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._whole: UInt8Array = cuda.pagelocked_empty((n_bytes + slack,), np.uint8, mem_flags=flags)
        self._whole.fill(0)
        self._allocation: Any = self._whole.base
        self.host: npt.NDArray[Any] = self._whole[:n_bytes].view(dtype).reshape(tuple(shape))
        if context.maps_host_memory:
            self.address = int(self._allocation.get_device_pointer())
        else:
            self._device = cuda.mem_alloc(self._whole.nbytes)
            self.address = int(self._device)

    def upload(self, stream: Any) -> None:
        """Enqueue the copy to the device, if the memory is not shared."""
        if self._device is not None:
            self._cuda.memcpy_htod_async(self.address, self._whole, stream)

    def download(self, stream: Any) -> None:
        """Enqueue the copy to the host, if the memory is not shared."""
        if self._device is not None:
            self._cuda.memcpy_dtoh_async(self._whole, self.address, stream)

    def free(self) -> None:
        """Free the memory."""
        if self._device is not None:
            self._device.free()
        self._allocation.free()


class Memory:
    """Allocates memory until it is sealed, and frees all of it at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: list[Any] = []
        self._is_sealed = False

    def frame(self, n_bytes: int) -> PinnedBuffer:
        """A buffer for raw frames, uint8 (n_bytes,): the capture thread writes there, and the GPU's kernel reads it.

        Raises:
            DeviceError: There is not enough memory, or `seal` was called.
        """
        return self._hold(lambda: PinnedBuffer(self._context, (n_bytes,), np.uint8, READ_SLACK))

    def result(self, shape: Sequence[int], dtype: npt.DTypeLike) -> PinnedBuffer:
        """A buffer for an output of the engine.

        Raises:
            DeviceError: There is not enough memory, or `seal` was called.
        """
        return self._hold(lambda: PinnedBuffer(self._context, shape, dtype))

    def device(self, n_bytes: int) -> int:
        """Allocate memory that only the GPU uses, and return its address.

        Raises:
            DeviceError: There is not enough memory, or `seal` was called.
        """
        return int(self._hold(lambda: self._context.cuda.mem_alloc(n_bytes)))

    def constant(self, values: npt.NDArray[Any]) -> int:
        """Copy an array to the GPU, and return the address of the copy; 0 for an empty array.

        Raises:
            DeviceError: There is not enough memory, or `seal` was called.
        """
        if not values.size:
            return 0
        address, stream = self.device(values.nbytes), self._context.stream()
        with self._context.errors():
            # a synchronous copy would use the default stream, which other streams of ours do not wait for
            self._context.cuda.memcpy_htod_async(address, np.ascontiguousarray(values), stream)
        self._context.synchronise(stream)
        return address

    def seal(self) -> None:
        """Refuse every further allocation, because the camera loop begins."""
        self._is_sealed = True

    def free(self) -> None:
        """Free everything; safe to call twice. The GPU must have finished all work on it."""
        held, self._held = self._held, []
        if self._context.is_lost:
            self._context.keep(held)
            return
        with self._context.errors():
            for item in reversed(held):
                item.free()

    def _hold(self, allocate: Callable[[], _Item]) -> _Item:
        if self._is_sealed:
            raise DeviceError(
                "Memory was asked for while the loop runs.",
                expected="everything allocated before the first frame",
            )
        self._context.check_thread()
        with self._context.errors():
            item = allocate()
        self._held.append(item)
        return item
