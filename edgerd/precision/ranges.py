"""What values each activation takes on real pictures, in FP32: the ground that INT8 scales are chosen on.

Collected once per bundle and kept in it as `ranges.json`; every flavour of Q/DQ graph is made from the same ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgerd.bundle.manifest import Record
from edgerd.errors import InputError
from edgerd.graph_names import FRAME
from edgerd.precision.body import activations
from edgerd.precision.watching import watching_session
from edgerd.types import Float32Array, UInt8Array

RANGES_FILE = "ranges.json"
N_BINS = 1024
USUAL_PICTURES = 32
MIN_RANGE_PICTURES = 8
"""Fewer say too little of what an activation may reach: the first unusual part would saturate it."""


class TensorRange(Record):
    """The values of one activation over all pictures."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    counts: tuple[int, ...]
    """How many values lie in each of `N_BINS` bins of equal width from low to high; all in one where low is high."""


class Ranges(Record):
    """`ranges.json`: every activation of one graph on one list of pictures."""

    graph_sha256: str
    """Hash of the FP32 graph."""
    pictures_sha256: str
    """Hash over the pictures in their order."""
    n_pictures: int
    tensors: dict[str, TensorRange]
    """Name of an activation to its range."""


def collect_ranges(graph: bytes, pictures: UInt8Array, threads: int = 1) -> Ranges:
    """Run the FP32 graph on pictures and watch its activations.

    Two passes, extremes and then histograms, one tile at a time: what is held is one tile's activations.

    Args:
        graph: The FP32 fused graph, ONNX.
        pictures: uint8 (n, T, H, W, 3), BGR, at graph size; good parts.
        threads: CPU threads to use.

    Raises:
        InputError: Fewer than `MIN_RANGE_PICTURES` pictures.
    """
    if len(pictures) < MIN_RANGE_PICTURES:
        raise InputError(
            f"{len(pictures)} pictures are too few to find INT8 ranges from.",
            expected=f"{MIN_RANGE_PICTURES} at least; {USUAL_PICTURES} are usual",
            hint="Train on more good pictures, then export again.",
        )
    tiles = pictures.reshape(-1, *pictures.shape[2:])
    names, session = watched(graph, threads)
    extremes = dict.fromkeys(names, (np.inf, -np.inf))
    for name, values in activations_on(tiles, names, session):
        low, high = extremes[name]
        extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
    counts = {name: np.zeros(N_BINS, np.int64) for name in names}
    for name, values in activations_on(tiles, names, session):
        counts[name] += histogram(values, *extremes[name])
    tensors = {
        name: TensorRange(low=low, high=high, counts=tuple(counts[name].tolist()))
        for name, (low, high) in extremes.items()
    }
    return Ranges(
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        pictures_sha256=hashlib.sha256(pictures.tobytes()).hexdigest(),
        n_pictures=len(pictures),
        tensors=tensors,
    )


def histogram(values: Float32Array, low: float, high: float) -> npt.NDArray[np.int64]:
    """Count values in `N_BINS` bins of equal width: int64 (N_BINS,).

    Args:
        values: Any shape, none below `low` or above `high`.
        low: Lower edge of the first bin.
        high: Upper edge of the last bin, which holds it.
    """
    # five times as fast as numpy.histogram, which handles values outside and bins of unequal width
    width = (high - low) / N_BINS or 1.0
    bins = ((values.ravel() - np.float32(low)) / np.float32(width)).astype(np.int32)
    return np.bincount(np.clip(bins, 0, N_BINS - 1), minlength=N_BINS)


def watched(graph: bytes, threads: int) -> tuple[tuple[str, ...], Any]:
    """The names of a graph's activations, and an ONNX Runtime session that gives them as its outputs."""
    model = onnx.load_from_string(graph)
    names = activations(model.graph)
    return names, watching_session(model, names, threads)


def activations_on(tiles: UInt8Array, names: Sequence[str], session: Any) -> Iterator[tuple[str, Float32Array]]:
    """Run tiles, uint8 (n, H, W, 3), one at a time; yields name and values of each activation on each of them."""
    for tile in tiles:
        yield from zip(names, session.run(names, {FRAME: tile[None]}), strict=True)
