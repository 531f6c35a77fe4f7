"""Who has which frame buffer: nobody, the camera that writes to it, or the run that judges what is in it.

A GPU reads frames from pinned memory. The camera's thread writes them there, so that nothing is copied on the host,
while the run works on others. No lock is held longer than a look at a list takes, and nobody waits for a buffer: a
camera that finds none free makes an array of its own, as without a GPU.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from edgerd.errors import DeviceError
from edgerd.types import UInt8Array


class Buffers(Protocol):
    """Memory for frames, as a camera's thread sees it. For any thread."""

    def lend(self) -> UInt8Array | None:
        """A free buffer in the shape of a frame; None where there is none. To be given back, filled or not."""
        ...

    def holds(self, data: UInt8Array) -> bool:
        """Whether this data lies in one of them."""
        ...

    def has_room(self, data: UInt8Array) -> bool:
        """Whether a frame can be judged now: it lies in one of them, or one is free for it."""
        ...

    def give_back(self, data: UInt8Array) -> None:
        """The buffer in which this data lies is free again; nothing where it lies elsewhere."""
        ...


class _Holder(Enum):
    NOBODY = "nobody"
    CAMERA = "camera"
    RUN = "run"
    COPY = "copy"
    """The run, which copied a frame from elsewhere there."""


_CAMERA_NEEDS = 2
"""Buffers: one that it writes to, and one with the newest frame, which waits."""


class Slots:
    """Buffers of one shape, and who holds each.

    Args:
        buffers: uint8, all of the shape of a frame; they stay as long as this.
    """

    def __init__(self, buffers: Sequence[UInt8Array]) -> None:
        self._buffers = tuple(buffers)
        self._numbers = {address_of(buffer): number for number, buffer in enumerate(buffers)}
        self._holders = [_Holder.NOBODY] * len(buffers)
        self._for_camera = min(_CAMERA_NEEDS, len(buffers) - 1)
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> UInt8Array:
        return self._buffers[number]

    def lend(self) -> UInt8Array | None:
        """A free buffer, for the camera; None where none is free, or the camera has as many as it needs."""
        with self._lock:
            if self._holders.count(_Holder.CAMERA) >= self._for_camera or _Holder.NOBODY not in self._holders:
                return None
            return self._buffers[self._take_free(_Holder.CAMERA)]

    def holds(self, data: UInt8Array) -> bool:
        """Whether this data lies in one of the buffers."""
        return self._number_of(data) is not None

    def give_back(self, data: UInt8Array) -> None:
        """The buffer in which this data lies is free again, whoever held it; nothing where it lies elsewhere."""
        with self._lock:
            number = self._number_of(data)
            if number is not None:
                self._holders[number] = _Holder.NOBODY

    def has_room(self, data: UInt8Array) -> bool:
        """Whether `claim` has a buffer for this frame."""
        with self._lock:
            return self._number_of(data) is not None or _Holder.NOBODY in self._holders

    def claim(self, data: UInt8Array) -> tuple[int, bool]:
        """Take a frame into the run.

        Returns:
            The number of its buffer, and whether the data lies there already; else it has to be copied there.

        Raises:
            DeviceError: All buffers are in use.
        """
        with self._lock:
            number = self._number_of(data)
            if number is not None:
                self._holders[number] = _Holder.RUN
                return number, True
            if _Holder.NOBODY not in self._holders:
                raise DeviceError(
                    f"All {len(self._holders)} slots are in use.",
                    expected="no more frames under way than `Inspector.depth`",
                    hint="Raise --slots.",
                )
            return self._take_free(_Holder.COPY), False

    @property
    def is_lent(self) -> bool:
        """True while somebody outside has one of them, to write to it or to read: then the memory must stay."""
        with self._lock:
            return self._is_lent

    def withdraw(self) -> bool:
        """Lend no more, not even to a thread that is about to ask.

        Returns:
            Whether the memory may go, because nobody outside has one of the buffers.
        """
        with self._lock:
            self._for_camera = 0
            return not self._is_lent

    @property
    def _is_lent(self) -> bool:
        return _Holder.CAMERA in self._holders or _Holder.RUN in self._holders

    def _number_of(self, data: UInt8Array) -> int | None:
        """The number of the buffer that begins where this data does; None for memory elsewhere."""
        for number, buffer in enumerate(self._buffers):
            if buffer is data:  # nearly always, and much sooner told than its address
                return number
        return self._numbers.get(address_of(data))

    def _take_free(self, holder: _Holder) -> int:
        number = self._holders.index(_Holder.NOBODY)
        self._holders[number] = holder
        return number


def address_of(data: UInt8Array) -> int:
    """Where an array begins."""
    return int(data.__array_interface__["data"][0])
