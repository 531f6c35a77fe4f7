"""The average over the area that a pixel covers, as OpenCV's INTER_AREA takes it, in less time for large pictures.

INTER_AREA is fast where both factors are whole numbers. At others, such as 1080 rows to 256, it weighs every pixel of
the source on its own, along the columns first. The average is separable, so here the rows come first: those that an
output row covers in full are added up as whole rows, which OpenCV vectorises, and INTER_AREA is left with the columns
of what is then a quarter to a ninth of the picture.

With p/H of a row covered at the top and q/H at the bottom, the sum of an output row is

    S + p/H top + q/H bottom

and stays in float32 until the columns are done, so the result is INTER_AREA's own but for pixels that lie half way
between two grey levels. OpenCV's only vectorised addition of a weighted row of bytes is a running average,
R <- (1 - a) R + a row; after it R is the sum times 1 - a, which the last step makes good.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from edgerd.types import UInt8Array

_FEWEST_PIXELS = 2**20
"""For smaller sources, the calls per output row cost more time than they save."""
_ROWS_AT_ONCE = 16
"""Output rows that are summed before their columns are: for sources up to 4K wide, the sums stay in the L2 cache."""


class _CoveredRows(NamedTuple):
    """The rows of the source that one output row covers.

    Attributes:
        full: The rows covered in full; may be empty.
        partial: The rows covered in part, as slices of one row, each with its weight in the running average.
        scale: Factor from the running average to the mean.
    """

    full: slice
    partial: tuple[tuple[slice, float], ...]
    scale: float


def area_average(source: UInt8Array, out: UInt8Array) -> None:
    """Shrink a picture along both axes, within 1 of 255 of INTER_AREA.

    Args:
        source: uint8 (h, w, 3).
        out: uint8 (H, W, 3), H < h and W < w; is written to.
    """
    height, width = out.shape[:2]
    whole_factors = source.shape[0] % height == 0 and source.shape[1] % width == 0
    if whole_factors or source.shape[0] * source.shape[1] < _FEWEST_PIXELS:
        cv2.resize(source, (width, height), dst=out, interpolation=cv2.INTER_AREA)
    else:
        rows_first(source, out)


def rows_first(source: UInt8Array, out: UInt8Array) -> None:
    """`area_average` row by row, which is fast for large pictures and factors that are not whole.

    Args:
        source: uint8 (h, w, 3).
        out: uint8 (H, W, 3), H < h and W < w; is written to.
    """
    height, width = out.shape[:2]
    covered = _covered_rows(source.shape[0], height)
    flat = source.reshape(source.shape[0], -1)
    sums = np.empty((_ROWS_AT_ONCE, flat.shape[1]), np.float32)
    for top in range(0, height, _ROWS_AT_ONCE):
        some = covered[top : top + _ROWS_AT_ONCE]
        for i, (full, partial, _) in enumerate(some):
            running = sums[i : i + 1]  # 2-D: OpenCV takes a flat array for a column, and adds it slowly
            if full.start < full.stop:
                cv2.reduce(flat[full], 0, cv2.REDUCE_SUM, running, cv2.CV_32F)
            else:
                running[:] = 0
            for row, weight in partial:
                cv2.accumulateWeighted(flat[row], running, weight)
        n = len(some)
        narrow = cv2.resize(sums[:n].reshape(n, -1, 3), (width, n), interpolation=cv2.INTER_AREA)
        scales = np.array([rows.scale for rows in some], np.float32)[:, None, None]
        cv2.convertScaleAbs(np.multiply(narrow, scales), dst=out[top : top + n])


@lru_cache(maxsize=64)
def _covered_rows(source_height: int, height: int) -> tuple[_CoveredRows, ...]:
    """The covered rows of each output row; kept, since they are the same for every frame of a camera."""
    covered = []
    for i in range(height):
        first, cut_off = divmod(i * source_height, height)
        last, reached = divmod((i + 1) * source_height, height)
        total, partial = 1.0, []
        for row, parts in ((first, height - cut_off if cut_off else 0), (last, reached)):
            if parts:
                total += parts / height
                partial.append((slice(row, row + 1), parts / height / total))
        full = slice(first + bool(cut_off), last)
        covered.append(_CoveredRows(full, tuple(partial), total * height / source_height))
    return tuple(covered)
