"""Milliseconds of preprocessing and exposure guards per frame size, which is nearly all that is outside the engine.

    python benchmarks/preprocessing.py --json results/preprocessing.json > results/preprocessing.md

No bundle is needed. On one thread `prepare` and OpenCV's INTER_AREA take turns, each time on a frame that was last read
some turns ago, as one from a camera is in no core's own cache. "CPU" is what the thread was charged for: on a busy
machine the clock also counts the turns of others, the more the longer a frame takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import print_results

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.prepared import picture_limits
from edgerd.data.preprocess import prepare
from edgerd.inspection.guards import exposure_reason

_WARM_UP = 5
_FRAMES = 8


def measure(size: tuple[int, int], spec: PreprocessSpec, n: int) -> dict[str, Any]:
    """A row: medians over n frames, ratios pair by pair."""
    width, height = size
    frames = [np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8) for i in range(_FRAMES)]
    tiles = [prepare(frame, spec) for frame in frames]
    limits = picture_limits(tiles)
    areas = [cv2.resize(frame, (spec.width, spec.height), interpolation=cv2.INTER_AREA) for frame in frames]
    ways: tuple[Callable[[int], object], ...] = (
        lambda i: prepare(frames[i], spec),
        lambda i: cv2.resize(frames[i - _FRAMES // 2], (spec.width, spec.height), interpolation=cv2.INTER_AREA),
        lambda i: exposure_reason(tiles[i], limits),
    )
    taken = np.array([[_timed(way, i % _FRAMES) for way in ways] for i in range(_WARM_UP + n)])[_WARM_UP:] * 1000
    wall, cpu = np.median(taken, axis=0).T
    difference = np.abs(np.concatenate(tiles).astype(int) - areas)
    return {
        "frame": f"{width}x{height}",
        "prepare ms": float(wall[0]),
        "INTER_AREA ms": float(wall[1]),
        "guards ms": float(wall[2]),
        "prepare CPU ms": float(cpu[0]),
        "INTER_AREA CPU ms": float(cpu[1]),
        "prepare / INTER_AREA, CPU": float(np.median(taken[:, 0, 1] / taken[:, 1, 1])),
        "largest difference": int(difference.max()),
        "differ by 1": float((difference == 1).mean()),
    }


def _timed(way: Callable[[int], object], i: int) -> tuple[float, float]:
    """Seconds by the clock, and of the CPU."""
    clock, cpu = time.perf_counter(), time.thread_time()
    way(i)
    cpu = time.thread_time() - cpu
    return time.perf_counter() - clock, cpu


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=256, help="of the graph, px")
    parser.add_argument("--frames", type=int, default=200, help="per frame size")
    parser.add_argument(
        "--sizes", nargs="+", default=["640x480", "1000x1000", "1024x1024", "1920x1080", "2448x2048", "3840x2160"]
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    spec = PreprocessSpec(height=arguments.image_size, width=arguments.image_size)
    sizes = [tuple(int(side) for side in size.split("x")) for size in arguments.sizes]
    rows = [measure((width, height), spec, arguments.frames) for width, height in sizes]
    note = f"BGR noise to {spec.width} px, one thread, medians of {arguments.frames} frames."
    print_results("Preprocessing", rows, [note], arguments.json)


if __name__ == "__main__":
    main()
