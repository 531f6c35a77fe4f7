"""From a layer to a picture: pose, light, lens and sensor, each from its own random numbers.

A defective part and the good part of the same seed get the same of all four, so that only the defect differs.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.data.samples.part import UNITS, Kind, Layer, Pose, PoseRange, grid, laid_over, weighted
from edgerd.types import BoolArray, Float32Array, UInt8Array

MASK_LEVEL = 40
"""A pixel is in the mask where the defect covers at least 40/255 of it; fainter edges are not visible."""

_READ_NOISE = 1.1
"""Standard deviation in grey levels of a black picture."""
_SHOT_NOISE = 0.018
"""Variance per grey level: electrons are counted, so noise grows with the square root of light."""
_NOISE_MARGIN = 64
"""Noise is slow to draw, so each picture takes a random window of one noise plane that is this much larger."""


def random_pose(limits: PoseRange, rng: np.random.Generator) -> Pose:
    """How one part lies under the camera."""
    rotation, right, down, zoom = rng.uniform(-1.0, 1.0, 4)
    return Pose(
        rotation_rad=float(np.deg2rad(rotation * limits.rotation_deg)),
        shift=(float(right * limits.shift), float(down * limits.shift)),
        zoom=float(1.0 + zoom * limits.zoom),
    )


def photograph(
    layer: Layer, coverage: UInt8Array | None, kind: Kind, size: int, pose: Pose, rng: np.random.Generator
) -> tuple[UInt8Array, BoolArray]:
    """Lay a part on its background and take the picture.

    Args:
        layer: The part.
        coverage: What a defect covers of it, uint8 like `layer.alpha`; None for a good part.
        kind: Gives the background.
        size: Width and height of the picture in pixels.
        pose: How the part lies.
        rng: Random numbers; the same for a good part and the same part with a defect.

    Returns:
        The picture, uint8 (size, size, 3) BGR, and the defect's mask, bool (size, size).
    """
    # Colours are weighted by alpha before they are interpolated, or the part's edge would glow.
    part = np.dstack([weighted(layer.bgr, layer.alpha), layer.alpha])
    pixels, fractions = _pose_maps(pose, size, *layer.alpha.shape)
    part = _warp(part, pixels, fractions)
    scene = laid_over(kind.background(size, rng, pose), part[..., :3], part[..., 3])
    mask = np.zeros((size, size), np.bool_)
    if coverage is not None:
        mask = _warp(coverage, pixels, fractions) >= MASK_LEVEL
    return _exposed(scene, size, rng), mask


def _exposed(scene: UInt8Array, size: int, rng: np.random.Generator) -> UInt8Array:
    """Lens blur, uneven light of slightly varying colour, shot and read noise."""
    sigma = float(rng.uniform(0.45, 0.65))
    sharp = cv2.GaussianBlur(scene, (3, 3), sigma)
    lit = cv2.multiply(sharp, _light(size, rng), dtype=cv2.CV_32F)
    noise = cv2.multiply(_noise_window(size, rng), cv2.LUT(sharp, _noise_by_level()))
    return np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)


def _light(size: int, rng: np.random.Generator) -> Float32Array:
    """Gain of every pixel and channel, float32 (size, size, 3), around 1."""
    level = rng.normal(1.0, 0.02)
    slope_x, slope_y = rng.normal(0.0, 0.015, 2)
    warmth = rng.normal(0.0, 0.008)
    axis = np.linspace(-1.0, 1.0, size)
    columns = level * (1.0 + slope_x * axis - 0.035 * axis**2)
    rows = 1.0 + slope_y * axis - 0.035 * axis**2
    gains = np.array([1.0 - warmth, 1.0, 1.0 + warmth])
    by_column = (columns[:, None] * gains).astype(np.float32)
    return np.asarray(rows.astype(np.float32)[:, None, None] * by_column, np.float32)


def _noise_window(size: int, rng: np.random.Generator) -> Float32Array:
    """Noise with a standard deviation of 1, float32 (size, size, 3)."""
    top, left = rng.integers(0, _NOISE_MARGIN, 2)
    plane = _noise_plane(size + _NOISE_MARGIN)
    return plane[top : top + size, left : left + size]


@lru_cache(maxsize=2)
def _noise_plane(n_pixels: int) -> Float32Array:
    rng = np.random.Generator(np.random.PCG64(n_pixels))
    return rng.standard_normal((n_pixels, n_pixels, 3)).astype(np.float32)


@lru_cache(maxsize=1)
def _noise_by_level() -> Float32Array:
    """Standard deviation of the noise for each of the 256 grey levels."""
    return np.asarray(np.sqrt(_READ_NOISE**2 + _SHOT_NOISE * np.arange(256)), np.float32)


def _warp(plane: UInt8Array, pixels: npt.NDArray[np.int16], fractions: npt.NDArray[np.uint16]) -> UInt8Array:
    return np.asarray(cv2.remap(plane, pixels, fractions, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.uint8)


def _pose_maps(pose: Pose, size: int, height: int, width: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """For every picture pixel, where in the layer to look: whole pixels (x, y), and 1/32 pixels as `remap` packs them.

    A pixel looks up the inverse of the pose: its place relative to the part's, turned back, divided by the zoom.
    """
    scale = size / UNITS
    x, y = grid(size, scale)
    x, y = x - pose.shift[0], y - pose.shift[1]
    factor = 32 * scale / pose.zoom
    cos, sin = factor * np.cos(pose.rotation_rad), factor * np.sin(pose.rotation_rad)
    across = np.rint(cos * x + (16 * (width - 1) - sin * y)).astype(np.int32)
    down = np.rint(sin * x + (16 * (height - 1) + cos * y)).astype(np.int32)
    pixels = np.empty((size, size, 2), np.int16)
    pixels[..., 0], pixels[..., 1] = across >> 5, down >> 5
    return pixels, ((down & 31) << 5 | across & 31).astype(np.uint16)
