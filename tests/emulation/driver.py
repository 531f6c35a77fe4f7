"""The emulated driver as tests see it: its log, its settings, and calls that are made to fail."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

OUT_OF_MEMORY = 2
NO_DEVICE = 100
NO_BINARY_FOR_GPU = 209
ILLEGAL_ADDRESS = 700
LAUNCH_FAILED = 719
CAPTURE_UNSUPPORTED = 900
CAPTURE_INVALIDATED = 901
LOST = 999
"""CUDA_ERROR_UNKNOWN: what calls give after a device has fallen off the bus."""

# CUdevice_attribute, from cuda.h
INTEGRATED = 18
MAJOR = 75
MINOR = 76


class _Record(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 40),
        ("stream", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("result", ctypes.c_int32),
        ("captured", ctypes.c_int32),
    )


@dataclass(frozen=True)
class Call:
    """One line of the driver's log.

    Attributes:
        name: A driver function without its version suffix ("cuMemcpyHtoDAsync"), or work that the device did:
            "run:copy", "run:fill", "run:kernel", "run:engine", "run:graph", "run:event", "run:wait"; "pageable" where
            an asynchronous copy waited because its host memory is not pinned.
        stream: Handle of the stream, 0 for the default stream and for calls that have none.
        bytes: Bytes copied or allocated; threads for a kernel; nodes for "run:graph".
        result: CUresult, 0 for success.
        captured: It was written into a graph.
    """

    name: str
    stream: int
    bytes: int
    result: int
    captured: bool


class Driver:
    """The emulated libcuda of this process."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self.library.emulation_log.restype = ctypes.c_size_t
        self.library.emulation_used_bytes.restype = ctypes.c_size_t

    def reset(self) -> None:
        """Forget log, faults and settings; what is allocated stays."""
        self.library.emulation_reset()

    # the log

    def calls(self) -> list[Call]:
        """All calls since the last `clear`."""
        count = self.library.emulation_log(None, ctypes.c_size_t(0))
        records = (_Record * count)()
        self.library.emulation_log(records, ctypes.c_size_t(count))
        return [
            Call(re.sub(r"_v\d$", "", r.name.decode()), r.stream, r.bytes, r.result, bool(r.captured)) for r in records
        ]

    def clear(self) -> None:
        """Empty the log."""
        self.library.emulation_clear_log()

    def counts(self, *, device: bool = False) -> Counter[str]:
        """How often each function was called; with `device`, what the device did instead."""
        names = (call.name for call in self.calls())
        return Counter(name.removeprefix("run:") for name in names if name.startswith("run:") == device)

    # faults and settings

    def fail(self, name: str, result: int, *, after: int = 0, times: int = 1, sticks: bool = False) -> None:
        """Let a call fail.

        Args:
            name: A driver function without its version suffix, or "run:copy", "run:kernel", "run:engine" for a failure
                on the device, which the next call that waits reports.
            result: CUresult to return.
            after: This many calls still succeed.
            times: Then this many fail. pycuda collects garbage and tries again when memory is short: 2 for that.
            sticks: Every later call gives the same, as after an illegal access. Failures on the device always stick.
        """
        self.library.emulation_fault(name.encode(), result, after, times, int(sticks))

    def set_memory(self, total_bytes: int) -> None:
        """Size of the device's memory; 8 GiB at first."""
        self.library.emulation_set_memory(ctypes.c_size_t(total_bytes))

    def set_device(self, name: str, *, sm: tuple[int, int], integrated: bool = False) -> None:
        """Another GPU: its name and compute capability."""
        self.library.emulation_set_name(name.encode())
        for attribute, value in ((MAJOR, sm[0]), (MINOR, sm[1]), (INTEGRATED, int(integrated))):
            self.set_attribute(attribute, value)

    def set_attribute(self, attribute: int, value: int) -> None:
        """Set the value that `cuDeviceGetAttribute` returns."""
        self.library.emulation_set_attribute(attribute, value)

    # what is there

    @property
    def used_bytes(self) -> int:
        """Device memory that is allocated."""
        return int(self.library.emulation_used_bytes())

    def live(self, kind: str) -> int:
        """How many exist: "device memory", "pinned memory", "stream", "event", "graph", "graph exec", "module"."""
        return int(self.library.emulation_live(kind.encode()))

    def holds(self, address: int, size_bytes: int) -> bool:
        """True where the bytes lie in one allocation that the device can reach."""
        return bool(self.library.emulation_holds(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes)))
