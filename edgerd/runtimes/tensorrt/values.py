"""Values of TensorRT's that its type stubs do not describe: byte buffers and dimensions."""

from __future__ import annotations

from typing import Any


def content_of(memory: Any) -> bytes:
    """The bytes of an `IHostMemory`."""
    return bytes(memoryview(memory))


def extents(dims: Any) -> tuple[int, ...]:
    """A tensor's shape; -1 for what a profile sets."""
    return tuple(int(extent) for extent in dims)
