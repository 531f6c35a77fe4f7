"""Pictures for the distillation of the built-in teacher, made or taken from what may be sold; none of a data set.

Every maker is `(rng, size_px) -> picture (size_px, size_px, 3) BGR`, uint8 or float32 of 0 to 1. Where the pictures
come from, and under which licence, is listed in `edgerd/models/weights/README.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from tools.pictures import objects, photographs, scenes, textures
from tools.pictures.camera import photographed

Maker = Callable[[np.random.Generator, int], npt.NDArray[np.uint8] | npt.NDArray[np.float32]]

SOURCES: Final[dict[str, tuple[Maker, int]]] = {
    "photographs": (photographs.crop, 450),
    "scenes": (scenes.dead_leaves, 375),
    "textures": (textures.texture, 300),
    "objects": (objects.still_life, 225),
}
"""Maker of each source, and how many of its pictures are in the pool."""

POOL_PX: Final = 256
"""Height and width of the pictures of a pool."""

__all__ = ["POOL_PX", "SOURCES", "Maker", "make_pool"]


def make_pool(maker: Maker, n_pictures: int, seed: int) -> npt.NDArray[np.uint8]:
    """Pictures of one source as a camera would see them.

    Args:
        maker: Of a source.
        n_pictures: How many.
        seed: The same seed gives the same pictures.

    Returns:
        uint8 (n_pictures, POOL_PX, POOL_PX, 3), BGR.
    """
    pool = np.empty((n_pictures, POOL_PX, POOL_PX, 3), np.uint8)
    for i in range(n_pictures):
        rng = np.random.default_rng([seed, i])
        pool[i] = photographed(rng, maker(rng, POOL_PX))
    return pool
