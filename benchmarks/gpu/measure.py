"""Times on the host and on the GPU, and what the GPU's memory and bus can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgerd.cuda.context import Context
from edgerd.cuda.memory import Memory
from gpu.card import clocks_while

_WARM_UP = 20
_IN_A_ROW = 10
"""Runs between two events: before the first the GPU waits for the host, which would count as its time."""
UPLOADS = 500
"""Copies whose median is the upload's time."""


def percentiles(times_ms: Sequence[float] | npt.NDArray[np.float64]) -> dict[str, float]:
    """p50, p95, p99 and max."""
    values = np.asarray(times_ms, np.float64)
    quantiles = {f"p{share}": float(np.percentile(values, share)) for share in (50, 95, 99)}
    return quantiles | {"max": float(values.max())}


def host_times_ms(work: Callable[[], Any], n: int) -> npt.NDArray[np.float64]:
    """Wall time of each call; `work` waits for what it started.

    Returns:
        float64 (n,).
    """
    times = np.empty(_WARM_UP + n)
    for index in range(_WARM_UP + n):
        start = time.perf_counter()
        work()
        times[index] = 1e3 * (time.perf_counter() - start)
    return times[_WARM_UP:]


def device_times_ms(gpu: Context, stream: Any, enqueue: Callable[[], None], n: int) -> npt.NDArray[np.float64]:
    """Time of one run on the GPU's own clock, from several in a row between two events.

    Returns:
        float64 (n,).
    """
    begin, end = gpu.cuda.Event(), gpu.cuda.Event()
    times = np.empty(_WARM_UP + n)
    for index in range(_WARM_UP + n):
        begin.record(stream)
        for _ in range(_IN_A_ROW):
            enqueue()
        end.record(stream)
        gpu.synchronise(stream)
        times[index] = end.time_since(begin) / _IN_A_ROW
    return times[_WARM_UP:]


def copy_bytes_per_s(gpu: Context, n: int, size: int) -> float:
    """What a copy on the device reaches, once it is warm: bytes read and bytes written, per second."""
    memory, stream = Memory(gpu), gpu.stream()

    def copy() -> None:
        gpu.cuda.memcpy_dtod_async(target, source, size, stream)

    def copy_and_wait() -> None:
        copy()
        gpu.synchronise(stream)

    try:
        source, target = memory.device(size), memory.device(size)
        clocks_while(copy_and_wait)
        times = device_times_ms(gpu, stream, copy, n)
        return 2e3 * size / float(np.median(times))
    finally:
        memory.free()


def upload_bytes_per_s(gpu: Context, n_bytes: int) -> float | None:
    """What a copy of so many bytes from pinned memory reaches; None where host and GPU share their memory."""
    if gpu.maps_host_memory:
        return None
    memory, stream = Memory(gpu), gpu.stream()
    try:
        frame = memory.frame(n_bytes)
        times = device_times_ms(gpu, stream, lambda: frame.upload(stream), UPLOADS)
        return 1e3 * n_bytes / float(np.median(times))
    finally:
        memory.free()
