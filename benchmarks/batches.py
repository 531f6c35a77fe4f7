"""Whether frames of several cameras are faster in one batch than one after the other.

    python benchmarks/batches.py BUNDLE --threads 2 --json results/batches.json > results/batches.md

Batches of 1, 2 and 4 pictures take turns on the same engine in one process. Below 1 a batch saves time; a frame of a
batch has to wait for the others, so that a line would want clearly less than 1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from engines import BenchmarkEngine, engines_of
from machine import print_results

from edgerd.bundle.bundle import Bundle
from edgerd.errors import InputError
from edgerd.types import UInt8Array

_SIZES = (1, 2, 4)
_WARM_UP = 5


def row_of(each: BenchmarkEngine, pictures: dict[int, UInt8Array], n: int) -> dict[str, Any]:
    """Milliseconds per picture in batches of each size."""
    times: dict[int, list[float]] = {size: [] for size in _SIZES}
    for _ in range(_WARM_UP + n):
        for size in _SIZES:
            began_s = time.perf_counter()
            each.engine.infer(pictures[size])
            times[size].append(1e3 * (time.perf_counter() - began_s))
    per_picture = {size: float(np.median(taken[_WARM_UP:])) / size for size, taken in times.items()}
    return {
        "runtime": each.runtime,
        "precision": each.precision,
        "threads": each.engine.threads,
        "alone ms": per_picture[1],
        **{f"of {size} / alone": per_picture[size] / per_picture[1] for size in _SIZES[1:]},
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=60, help="batches of each size")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle)
    spec, rng = bundle.manifest.preprocess, np.random.default_rng(0)
    pictures = {n: rng.integers(0, 256, (n, spec.height, spec.width, 3), np.uint8) for n in _SIZES}
    rows, left_out = [], []
    for each in engines_of(bundle, arguments.threads):
        try:
            rows.append(row_of(each, pictures, arguments.frames))
        except InputError as error:
            left_out.append(f"{each.runtime} {each.precision}: {error.what}")
        each.engine.close()
    notes = [f"{bundle.manifest.model.teacher}, {spec.width} px; medians of {arguments.frames} batches.", *left_out]
    print_results("Batches", rows, notes, arguments.json)


if __name__ == "__main__":
    main()
