"""Check that there is memory for a build, before minutes are spent on it."""

from __future__ import annotations

import re
from pathlib import Path

from edgerd.cuda.context import Context
from edgerd.errors import DeviceError

_MEMINFO = Path("/proc/meminfo")
_MIB = 1 << 20
_BASE_BYTES = 256 * _MIB
"""What CUDA's and TensorRT's own kernels and the tensors of a small network take: a guess on the low side."""
_COPIES = 3
"""How many copies of the weights there are while kernels with different layouts of them are tried."""


def free_bytes(gpu: Context) -> int:
    """Memory that a build could have, in bytes; where CPU and GPU share it, with what the system would give up."""
    with gpu.errors():
        free, _ = gpu.cuda.mem_get_info()
    return max(int(free), _available_bytes()) if gpu.maps_host_memory else int(free)


def needed_bytes(graph: bytes) -> int:
    """Memory that a build takes at least, in bytes. `--workspace` is no part of it: no layer has to take that much."""
    return _BASE_BYTES + _COPIES * len(graph)


def check_memory(gpu: Context, graph: bytes) -> None:
    """Refuse to begin a build that cannot end well.

    Raises:
        DeviceError: There is too little memory.
    """
    free, needed = free_bytes(gpu), needed_bytes(graph)
    if free < needed:
        raise DeviceError(
            f"The GPU does not have enough memory to build the engine: {free // _MIB} MiB are free.",
            expected=f"about {needed // _MIB} MiB or more",
            hint="Stop other programs that use it; on a Jetson, the desktop too.",
        )


def _available_bytes() -> int:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
