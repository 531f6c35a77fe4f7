"""Defects that nobody has to have: patches of good pictures in the wrong place.

CutPaste (Li et al., CVPR 2021, arXiv:2104.04015, section 2.2): a rectangle of 0.2 to 5 % of a picture's area, its sides
up to 1:3.3, with its light changed, is pasted somewhere else. Here its source may be another picture.
"""

from __future__ import annotations

import numpy as np

from edgerd.types import UInt8Array

_AREA = (0.002, 0.05)
_LOG_ASPECT = 1.2
_LIGHT = (0.7, 1.3)
_OFFSET = 20.0
_SMALLEST_SIDE = 4


def cut_paste(pictures: UInt8Array, seed: int = 0) -> UInt8Array:
    """One spoilt picture from each good one.

    Args:
        pictures: uint8 (n, T, H, W, 3), n >= 1, good.
        seed: The same seed gives the same patches.

    Returns:
        uint8 (n, T, H, W, 3): each with one patch, in one of its tiles.
    """
    rng = np.random.default_rng(seed)
    spoilt: UInt8Array = pictures.copy()
    n, n_tiles, height, width, _ = pictures.shape
    for picture in spoilt:
        area, aspect = rng.uniform(*_AREA) * height * width, np.exp(rng.uniform(-_LOG_ASPECT, _LOG_ASPECT))
        rows = int(np.clip(np.sqrt(area * aspect), _SMALLEST_SIDE, height // 2))
        columns = int(np.clip(np.sqrt(area / aspect), _SMALLEST_SIDE, width // 2))
        (y, from_y), (x, from_x) = rng.integers(height - rows, size=2), rng.integers(width - columns, size=2)
        source = pictures[rng.integers(n), rng.integers(n_tiles)]
        patch = source[from_y : from_y + rows, from_x : from_x + columns].astype(np.float64)
        patch = patch * rng.uniform(*_LIGHT) + rng.uniform(-_OFFSET, _OFFSET)
        tile = picture[rng.integers(n_tiles)]
        tile[y : y + rows, x : x + columns] = np.clip(np.rint(patch), 0, 255).astype(np.uint8)
    return spoilt
