"""Milliseconds per frame: runtime x precision x frame size, engine and whole frame.

    python benchmarks/latency.py BUNDLE --threads 1 --json results/latency.json > results/latency.md

Every engine that this machine can run is compiled from the bundle (INT8 with its range pictures), and all take turns
on the same frames in one process, so that the ratios hold on a busy machine. "outside" is the whole frame minus the
engine, frame by frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from engines import engines_of
from machine import print_results

from edgerd.bundle.bundle import Bundle
from edgerd.cli.bench import frames_of
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector

_WARM_UP = 5


def inspectors_of(bundle: Bundle, threads: int) -> list[Inspector]:
    """One inspector per runtime and precision that this machine has; ONNX Runtime FP32, the reference, first.

    On a GPU the engine's time is measured between two events.
    """
    threshold = bundle.manifest.threshold
    if threshold is None:
        raise SystemExit(f"{bundle.path} is not calibrated: edgerd calibrate {bundle.path}")
    device = DeviceOptions(wait="spinning", profile=True)
    return [Inspector(bundle, each.engine, threshold.value, device=device) for each in engines_of(bundle, threads)]


def measure(inspectors: list[Inspector], bundle: Bundle, size: tuple[int, int], n: int) -> list[dict[str, Any]]:
    """A row per inspector for one frame size."""
    frames = frames_of(bundle, *size)
    times: list[list[tuple[float, float]]] = [[] for _ in inspectors]
    for index in range(_WARM_UP + n):
        for inspector, taken in zip(inspectors, times, strict=True):
            inspection = inspector.inspect(frames[index % len(frames)])
            if inspection.engine_ms is None:
                raise SystemExit(f"a frame was not judged: {inspection.reason}")
            taken.append((inspection.engine_ms, inspection.frame_ms))
    figures = [np.array(taken[_WARM_UP:]) for taken in times]
    return [
        {
            "runtime": inspector.engine.key.runtime,
            "precision": inspector.engine.key.precision,
            "threads": inspector.engine.threads,
            "frame": f"{size[0]}x{size[1]}",
            "engine p50 ms": float(np.median(taken[:, 0])),
            "frame p50 ms": float(np.median(taken[:, 1])),
            "frame p99 ms": float(np.quantile(taken[:, 1], 0.99)),
            "outside p50 ms": float(np.median(taken[:, 1] - taken[:, 0])),
            "engine / reference": float(np.median(taken[:, 0] / figures[0][:, 0])),
            "frame / reference": float(np.median(taken[:, 1] / figures[0][:, 1])),
        }
        for inspector, taken in zip(inspectors, figures, strict=True)
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=60, help="per engine and frame size")
    parser.add_argument("--sizes", nargs="+", default=["256x256", "1024x1024", "1920x1080", "3840x2160"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle)
    inspectors = inspectors_of(bundle, arguments.threads)
    rows = []
    for size in arguments.sizes:
        width, height = (int(side) for side in size.split("x"))
        rows += measure(inspectors, bundle, (width, height), arguments.frames)
    for inspector in reversed(inspectors):
        inspector.close()
    model = bundle.manifest.model
    notes = [
        f"{model.teacher}, student {model.student}, {bundle.manifest.preprocess.width} px, batch 1, medians of "
        f"{arguments.frames} good frames; the reference of the ratios is the first row of a frame size, pair by pair.",
    ]
    print_results("Latency", rows, notes, arguments.json)


if __name__ == "__main__":
    main()
