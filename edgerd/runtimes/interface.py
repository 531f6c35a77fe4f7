"""Checks and errors that all runtimes share: of graphs, frames, precisions and threads, and of what libraries raise."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgerd.errors import BundleDamagedError, DeviceError, EdgerdError, InputError, MissingDependencyError
from edgerd.graph_names import ANOMALY_MAP, FRAME, SCORE
from edgerd.runtimes.machine import usable_cores
from edgerd.runtimes.protocol import Probe
from edgerd.types import UInt8Array

_LONGEST_REASON = 300
"""Characters of a library's message that are repeated; some hold a whole stack."""


def graph_size(name: str, dimensions: Sequence[Any], outputs: Collection[str]) -> tuple[int, int]:
    """Height and width of the frames that a graph takes, checked to be the fused graph.

    Args:
        name: The input's name.
        dimensions: The input's shape; anything but an int is a free dimension.
        outputs: Names of the outputs.

    Raises:
        BundleDamagedError: This is not a fused graph.
    """
    match list(dimensions):
        case [batch, int(height), int(width), 3] if name == FRAME and not isinstance(batch, int):
            if {SCORE, ANOMALY_MAP} <= set(outputs):
                return height, width
    shape = ", ".join(str(dimension) for dimension in dimensions)
    raise BundleDamagedError(
        f"This is not a fused graph: input {name!r} ({shape}), outputs {', '.join(sorted(outputs))}.",
        expected=f"input {FRAME!r} (N, H, W, 3) with a free batch N, outputs {ANOMALY_MAP!r} and {SCORE!r}",
        hint="Export the bundle again: edgerd export RUN -o BUNDLE",
    )


def unreadable(what: str, error: BaseException) -> BundleDamagedError:
    """The error for a graph or file that a runtime refuses."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return BundleDamagedError(
        f"{what} cannot be read: {lines[-1].strip()}",
        expected="a file as edgerd export or edgerd build-engine wrote it",
        hint="Copy the bundle again from where it was made, or export it again: edgerd export RUN -o BUNDLE",
    )


@contextmanager
def library_errors(library: str, doing: str, *raised: type[Exception]) -> Iterator[None]:
    """Turn what a library raises while it builds, loads or runs an engine into an error of ours.

    Args:
        library: Its name, for people.
        doing: What it was to do, for the message: "run", "build the engine".
        raised: The library's own exceptions. RuntimeError, which most C++ errors become, and MemoryError are always
            translated.

    Raises:
        DeviceError: It refused.
    """
    turned: tuple[type[Exception], ...] = (RuntimeError, MemoryError, *raised)
    try:
        yield
    except turned as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DeviceError(
            f"{library} refused to {doing}: {lines[0].strip()[:_LONGEST_REASON]}",
            expected="a machine that has the memory for it, and a runtime that is whole",
            hint="Check the free memory, and start again; edgerd doctor says what is installed.",
        ) from error


def check_frames(frames: UInt8Array, size: tuple[int, int] | None) -> None:
    """Refuse what is not uint8 (N, H, W, 3) with N >= 1.

    Args:
        frames: What an engine was given.
        size: H and W, px; None where any will do.

    Raises:
        InputError: The array has another shape or dtype.
    """
    if (
        frames.dtype != np.uint8
        or frames.ndim != 4
        or frames.shape[3] != 3
        or size not in (None, frames.shape[1:3])
        or not frames.size
    ):
        height, width = size or ("H", "W")
        raise InputError(
            f"The engine was given {frames.dtype} {frames.shape}.",
            expected=f"uint8 (N, {height}, {width}, 3), BGR, N >= 1",
            hint="Prepare frames with edgerd.data.preprocess.prepare and the bundle's preprocessing spec.",
        )


def check_precision(runtime: str, probe: Probe, precision: str) -> None:
    """Refuse a precision that does not run here.

    Raises:
        MissingDependencyError: The runtime is not installed, or lacks something that it needs for any precision.
        InputError: It cannot run that precision here.
    """
    if not probe.usable:
        raise MissingDependencyError(f"{runtime} cannot be used: {probe.reason}", hint=probe.fix)
    if precision not in probe.precisions:
        raise InputError(
            f"{runtime} cannot run {precision} on this machine.",
            expected=f"one of {', '.join(probe.precisions)}" + (f" ({probe.reason})" if probe.reason else ""),
            hint=f"Choose one with --precision, for instance --precision {probe.precisions[-1]}.",
        )


def thread_count(threads: int) -> int:
    """CPU threads to use; 0 stands for every core this process may use.

    Raises:
        InputError: The number is negative.
    """
    if threads < 0:
        raise InputError(f"{threads} threads cannot be used.", expected="1 or more, or 0 for all cores")
    return threads or usable_cores()


def closed() -> EdgerdError:
    """The error for an engine that is used after `close`."""
    return EdgerdError("The engine is closed.", expected="an open engine", hint="Open it again.")
