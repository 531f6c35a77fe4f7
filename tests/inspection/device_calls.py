"""Frames for the emulated GPU, the driver calls that one of them costs, and what is alive on the GPU."""

from __future__ import annotations

import gc

import numpy as np
from device_parts import in_format

from edgerd.types import Frame, PixelFormat

GRAPH = {"cuGraphLaunch": 1, "cuStreamSynchronize": 1}
EAGER = {"cuMemcpyHtoDAsync": 1, "cuLaunchKernel": 1, "cuMemcpyDtoHAsync": 2, "cuStreamSynchronize": 1}
KINDS = ("device memory", "pinned memory", "stream", "event", "graph", "graph exec", "module")


def noise(pixel_format=PixelFormat.BGR, height=64, width=96, seed=0):
    bgr = np.random.default_rng(seed).integers(90, 170, (height, width, 3), np.uint8)
    return Frame(in_format(bgr, pixel_format), pixel_format)


def live(emulation):
    gc.collect()
    return {kind: emulation.driver.live(kind) for kind in KINDS}
