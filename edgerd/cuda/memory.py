"""Memory of the camera loop: all of it is allocated when the loop is activated, none after.

On a GPU with its own memory a buffer is a pinned host part and a device part, with a copy between them. On an
integrated GPU it is one piece of pinned memory that both see, and the copy is nothing.
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


class FrameBuffer:
    """Where the capture thread puts a raw frame, and the GPU reads it.

    Attributes:
        host: uint8 (n_bytes,), pinned; any thread may write to it while no upload is under way.
        address: Device address of the frame.
    """

    def __init__(self, context: Context, n_bytes: int) -> None:
        self._pinned = _Pinned(context, (n_bytes + READ_SLACK,), np.uint8)
        self.host: UInt8Array = self._pinned.array[:n_bytes]
        self.address = self._pinned.address

    def upload(self, stream: Any) -> None:
        """Enqueue the copy to the device, where there is one."""
        self._pinned.upload(stream)

    def free(self) -> None:
        """Give the memory back."""
        self._pinned.free()


class ResultBuffer:
    """Where the engine writes an output, and the host reads it.

    Attributes:
        host: Pinned array; valid after a download and a synchronise, until the next run.
        address: Device address of the output.
    """

    def __init__(self, context: Context, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self._pinned = _Pinned(context, shape, dtype)
        self.host = self._pinned.array
        self.address = self._pinned.address

    def download(self, stream: Any) -> None:
        """Enqueue the copy to the host, where there is one."""
        self._pinned.download(stream)

    def free(self) -> None:
        """Give the memory back."""
        self._pinned.free()


class _Pinned:
    """Pinned host memory, and device memory of the same size unless the GPU maps the host's."""

    def __init__(self, context: Context, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        cuda = self._cuda = context.cuda
        self._device: Any = None
        flags = cuda.host_alloc_flags.DEVICEMAP if context.maps_host_memory else 0
        self.array: npt.NDArray[Any] = cuda.pagelocked_empty(tuple(shape), np.dtype(dtype), mem_flags=flags)
        self.array.fill(0)
        self._allocation: Any = self.array.base
        if context.maps_host_memory:
            self.address = int(self._allocation.get_device_pointer())
        else:
            self._device = cuda.mem_alloc(self.array.nbytes)
            self.address = int(self._device)

    def upload(self, stream: Any) -> None:
        if self._device is not None:
            self._cuda.memcpy_htod_async(self.address, self.array, stream)

    def download(self, stream: Any) -> None:
        if self._device is not None:
            self._cuda.memcpy_dtoh_async(self.array, self.address, stream)

    def free(self) -> None:
        if self._device is not None:
            self._device.free()
        self._allocation.free()


class Memory:
    """Allocates, until it is sealed, and frees everything at once.

    Attributes:
        n_bytes: Device memory held, in bytes; mapped host memory counts.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: list[Any] = []
        self._is_sealed = False
        self.n_bytes = 0

    def frame(self, n_bytes: int) -> FrameBuffer:
        """A buffer for raw frames.

        Raises:
            DeviceError: Not enough memory, or the loop is activated.
        """
        return self._hold(lambda: FrameBuffer(self._context, n_bytes), n_bytes)

    def result(self, shape: Sequence[int], dtype: npt.DTypeLike) -> ResultBuffer:
        """A buffer for an output of the engine.

        Raises:
            DeviceError: Not enough memory, or the loop is activated.
        """
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._hold(lambda: ResultBuffer(self._context, shape, dtype), n_bytes)

    def device(self, n_bytes: int) -> int:
        """Address of memory that only the GPU uses.

        Raises:
            DeviceError: Not enough memory, or the loop is activated.
        """
        return int(self._hold(lambda: self._context.cuda.mem_alloc(n_bytes), n_bytes))

    def constant(self, values: npt.NDArray[Any]) -> int:
        """Address of a copy of an array on the GPU; 0 for an empty one.

        Raises:
            DeviceError: Not enough memory, or the loop is activated.
        """
        if not values.size:
            return 0
        address, stream = self.device(values.nbytes), self._context.stream()
        with self._context.errors():
            # not the copy that waits by itself: it uses the default stream, for which ours do not wait
            self._context.cuda.memcpy_htod_async(address, np.ascontiguousarray(values), stream)
        self._context.synchronise(stream)
        return address

    def seal(self) -> None:
        """Refuse every further allocation: the loop is activated."""
        self._is_sealed = True

    def free(self) -> None:
        """Give everything back; safe to call twice. Nothing may be under way on the GPU."""
        held, self._held = self._held, []
        self.n_bytes = 0
        if self._context.is_lost:
            self._context.keep(held)
            return
        with self._context.errors():
            for item in reversed(held):
                item.free()

    def _hold(self, allocate: Callable[[], _Item], n_bytes: int) -> _Item:
        if self._is_sealed:
            raise DeviceError(
                f"{n_bytes} bytes were asked for while the loop runs.",
                expected="everything allocated before the first frame",
            )
        self._context.check_thread()
        with self._context.errors():
            item = allocate()
        self._held.append(item)
        self.n_bytes += n_bytes
        return item
