"""Turn TensorRT's own types, which its type stubs do not describe, into Python's: byte buffers and dimensions."""

from __future__ import annotations

from typing import Any


def content_of(memory: Any) -> bytes:
    """The bytes of an `IHostMemory`."""
    return bytes(memoryview(memory))


def extents(dims: Any) -> tuple[int, ...]:
    """A tensor's shape as a tuple; -1 for a dimension that a profile sets."""
    return tuple(int(extent) for extent in dims)
