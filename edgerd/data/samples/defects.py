"""What goes wrong with parts of every kind, and the shapes that a kind's own defects are made of.

Lengths are in units of 1/256 of the picture's width, points (x, y) from the middle of the layer, as in
`edgerd.data.samples.part`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgerd.data.samples.part import Layer, rounded, smooth_noise
from edgerd.types import Float64Array, UInt8Array

LIGHT_FROM = (-0.6, -0.8)
"""Where the lamp is, as a direction in the picture: upper left."""


def walk(
    rng: np.random.Generator, start: npt.ArrayLike, heading_rad: float, length: float, *, wander: float
) -> Float64Array:
    """A path that wanders.

    Args:
        rng: Random numbers.
        start: The first point, (x, y).
        heading_rad: The direction at the start: 0 to the right, pi / 2 down.
        length: Length of the path.
        wander: Standard deviation of the change of direction at every 2 units, in radians.

    Returns:
        float64 (n, 2), a point every 2 units.
    """
    n_steps = max(2, round(length / 2))
    headings = heading_rad + np.cumsum(rng.normal(0.0, wander, n_steps))
    steps = 2.0 * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    return np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)]) + np.asarray(start, np.float64)


def ribbon(path: Float64Array, width: float) -> Float64Array:
    """The outline of a stroke along a path that thins out towards both ends: float64 (2 n, 2)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = width / 2 * np.sqrt(np.sin(np.linspace(0.12, np.pi - 0.12, len(path))))[:, None]
    return np.concatenate([path + across * half, (path - across * half)[::-1]])


def blob(rng: np.random.Generator, centre: npt.ArrayLike, radius: float, roughness: float) -> Float64Array:
    """The outline of a spot: float64 (48, 2); `roughness` is how far its radius varies, as a fraction."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    orders = np.arange(2, 8)
    weights = rng.normal(0.0, roughness, len(orders)) / np.sqrt(orders)
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    radii = radius * np.maximum(0.4, 1 + (weights * np.cos(orders * angles[:, None] + phases)).sum(axis=1))
    outline: Float64Array = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return outline + np.asarray(centre, np.float64)


def scratch(layer: Layer, rng: np.random.Generator, path: Float64Array, width: float, grey_level: float) -> UInt8Array:
    """A scratch: a groove of about `grey_level`, with brighter and darker places, and its burr's shadow beside it."""
    ground = np.minimum(layer.polygon(ribbon(path, width)), layer.alpha)
    shadow = np.minimum(layer.polygon(ribbon(path + 0.55 * width, width)), layer.alpha)
    layer.shade(shadow, rng.uniform(0.45, 0.65))
    ground_level = grey_level + 28 * smooth_noise(layer.alpha.shape, 3.0 * layer.scale, rng)
    layer.blend(ground, rounded(ground_level)[..., None], rng.uniform(0.75, 0.95))
    return np.maximum(ground, shadow)


def stain(layer: Layer, outline: Float64Array, gain: npt.ArrayLike, softness: float = 0.8) -> UInt8Array:
    """A dried spot, darkest at its rim.

    Args:
        layer: The layer that is damaged.
        outline: The spot's outline, float64 (n, 2).
        gain: Factors of blue, green and red in the middle of the spot, 0 to 1.
        softness: Sigma of its edge, in units.
    """
    sharp = layer.polygon(outline)
    spot = np.minimum(layer.soften(sharp, softness), layer.alpha)
    from_rim = np.clip(layer.soften(sharp, 2.5).astype(np.float32) / 127.5 - 1.0, 0.0, 1.0)
    layer.shade(spot, np.asarray(gain, np.float32) * (0.8 + 0.2 * from_rim)[..., None])
    return spot
