"""Writes small picture files and masks, to make data sets of."""

import zlib

import numpy as np

from edgerd.data.pictures import write_png


def put(path, seed=None):
    """Write a small random picture; those of one seed are alike, without a seed all differ. Returns the path."""
    seed = zlib.crc32(str(path).encode()) if seed is None else seed
    write_png(path, np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))
    return path


def put_mask(path, height=8, width=8):
    """Write a mask with a diagonal line; returns the path."""
    write_png(path, np.eye(height, width, dtype=np.bool_))
    return path
