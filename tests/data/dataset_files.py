"""Small picture files, of which data sets are put together."""

import zlib

import numpy as np

from edgerd.data.pictures import write_png


def put(path, seed=None):
    """A small picture; each its own unless the seed says otherwise."""
    seed = zlib.crc32(str(path).encode()) if seed is None else seed
    write_png(path, np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))
    return path


def put_mask(path, height=8, width=8):
    write_png(path, np.eye(height, width, dtype=np.bool_))
    return path
