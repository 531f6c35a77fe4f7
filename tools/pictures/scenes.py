"""Dead leaves: shapes of all sizes occlude each other, which gives the statistics of natural pictures.

Lee, Mumford & Huang, "Occlusion models for natural images" (IJCV 2001): radii distributed as r^-3 make the model
scale-invariant; Baradad et al., "Learning to See by Looking at Noise" (NeurIPS 2021) learn features from it.
"""

from __future__ import annotations

import cv2
import numpy as np

from tools.pictures.colours import Picture, colour
from tools.pictures.objects import shading, silhouette
from tools.pictures.textures import any_texture

_SMALLEST_PX, _LARGEST_PX = 7.0, 140.0


def dead_leaves(rng: np.random.Generator, size_px: int) -> Picture:
    """A scene of 60 to 300 leaves, plain or cut from a few textures in changed colours."""
    materials = [any_texture(rng, size_px) for _ in range(int(rng.integers(2, 5)))]
    picture = materials[0].copy()
    solid = rng.random() < 0.4
    for _ in range(int(rng.integers(60, 300))):
        radius_px = _radius(rng)
        box_px = min(size_px, int(3 * radius_px) + 4)
        mask = silhouette(rng, box_px, radius_px, (box_px / 2, box_px / 2))
        left, top = (int(c) for c in rng.integers(-box_px // 2, size_px - box_px // 2, 2))
        leaf = _leaf(rng, materials, box_px)
        if solid and radius_px > 6:
            leaf = leaf * (0.4 + 0.7 * shading(rng, mask, radius_px * 0.6)[0][..., None])
        _paste(picture, leaf, mask, left, top)
    return picture


def _radius(rng: np.random.Generator) -> float:
    """From the density r^-3 between the smallest and the largest."""
    low, high = _SMALLEST_PX**-2, _LARGEST_PX**-2
    return float((low + rng.random() * (high - low)) ** -0.5)


def _leaf(rng: np.random.Generator, materials: list[Picture], box_px: int) -> Picture:
    tint = colour(rng)
    if rng.random() < 0.4:
        return np.broadcast_to(tint, (box_px, box_px, 3)).astype(np.float32)
    source = materials[int(rng.integers(len(materials)))]
    y, x = (int(c) for c in rng.integers(0, source.shape[0] - box_px + 1, 2))
    cut = source[y : y + box_px, x : x + box_px]
    return (cut * (0.4 + 1.2 * tint)).astype(np.float32)


def _paste(picture: Picture, leaf: Picture, mask: np.ndarray, left: int, top: int) -> None:
    size_px, box_px = picture.shape[0], mask.shape[0]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + box_px, size_px), min(top + box_px, size_px)
    if x0 >= x1 or y0 >= y1:
        return
    cut = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    window = picture[y0:y1, x0:x1]
    cover = mask[cut][..., None]
    window[...] = cv2.add(window * (1 - cover), leaf[cut] * cover)
