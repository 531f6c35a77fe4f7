"""Pictures for the distillation of the built-in teacher, made or taken from what may be sold; none of a data set.

Every maker is `(rng, size_px) -> uint8 (size_px, size_px, 3) BGR`. Where the pictures come from, and under which licence,
is listed in `edgerd/models/weights/README.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from tools.pictures import objects, photographs, scenes, textures
from tools.pictures.camera import photographed

Maker = Callable[[np.random.Generator, int], npt.NDArray[np.uint8]]

SOURCES: Final[dict[str, tuple[Maker, float]]] = {
    "photographs": (photographs.crop, 0.3),
    "scenes": (scenes.dead_leaves, 0.25),
    "textures": (textures.texture, 0.2),
    "objects": (objects.still_life, 0.15),
}
"""Maker of each source and its share of the pool."""

__all__ = ["SOURCES", "Maker", "make_pool"]


def make_pool(source: str, n_pictures: int, size_px: int, seed: int) -> npt.NDArray[np.uint8]:
    """Pictures of one source as a camera would see them.

    Args:
        source: A name in `SOURCES`.
        n_pictures: How many.
        size_px: Height and width.
        seed: The same seed gives the same pictures.

    Returns:
        uint8 (n_pictures, size_px, size_px, 3), BGR.
    """
    maker, _ = SOURCES[source]
    pool = np.empty((n_pictures, size_px, size_px, 3), np.uint8)
    for i in range(n_pictures):
        rng = np.random.default_rng([seed, i])
        pool[i] = photographed(rng, maker(rng, size_px))
    return pool
