"""Random pictures, and preprocessing specs written briefly."""

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import (
    parse_region,
    parse_tiles,
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def spec_of(height=64, width=96, region=None, tiles="1x1", **colour):
    return PreprocessSpec(
        height=height, width=width, region=parse_region(region) if region else None, tiles=parse_tiles(tiles), **colour
    )
