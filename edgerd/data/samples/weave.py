"""A cloth in 2/2 twill that fills the picture: blue warp threads run down, light weft threads across."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.data.samples import defects
from edgerd.data.samples.part import (
    UNITS,
    Kind,
    Layer,
    Pose,
    PoseRange,
    grid,
    rounded,
    smooth_noise,
    tinted,
)
from edgerd.types import Float32Array, Float64Array, UInt8Array

_PITCH = 8.0
"""Distance of the threads."""
_LAYER = 288
"""Width of the layer in units: the picture, and room for every pose."""
_BOLT = 5 * _LAYER // 4
"""Width of the cloth that layers are cut from, in units."""
_WHITE = 212.0
"""Grey level of full light."""
_WARP, _WEFT = (0.745, 0.623, 0.490), (0.925, 0.976, 1.0)
_THREAD = _WHITE * np.array(_WEFT)
"""Colour of a loose weft thread."""
_TABLE = (46, 48, 50)
"""Colour of the table, which shows through a hole."""


class _Cloth(NamedTuple):
    """The cloth that all layers of one size are cut from; planes (h, w) are its light, grey levels."""

    warp: Float32Array
    """Where a warp thread lies on top, else 0."""
    weft: Float32Array
    """Where a weft thread lies on top, else 0."""
    warp_alone: Float32Array
    """Warp threads as they would lie without any weft."""
    column: npt.NDArray[np.intp]
    """Index of the warp thread."""
    row: npt.NDArray[np.intp]
    """Index of the weft thread."""


def draw(size: int, rng: np.random.Generator, _pose: Pose) -> Layer:
    """A good piece of cloth, cut anywhere; each thread has a slightly different tone."""
    cloth = _cloth(size)
    n_pixels = round(_LAYER * size / UNITS)
    top, left = rng.integers(0, cloth.warp.shape[0] - n_pixels, 2)
    window = np.s_[top : top + n_pixels, left : left + n_pixels]
    n_threads = round(_BOLT / _PITCH) + 8
    by_column = np.take(rng.normal(1.0, 0.03, n_threads).astype(np.float32), cloth.column[window])
    by_row = np.take(rng.normal(1.0, 0.03, n_threads).astype(np.float32), cloth.row[window])
    warp, weft, bare = cloth.warp[window] * by_column, cloth.weft[window] * by_row, cloth.warp_alone[window] * by_column
    bgr = np.asarray(cv2.add(tinted(rounded(warp), _WARP), tinted(rounded(weft), _WEFT)), np.uint8)
    alpha = np.full((n_pixels, n_pixels), 255, np.uint8)
    return Layer(bgr=bgr, alpha=alpha, bare=tinted(rounded(bare), _WARP), scale=size / UNITS)


def background(size: int, _rng: np.random.Generator, _pose: Pose) -> UInt8Array:
    """The dark table below the cloth."""
    return np.full((size, size, 3), _TABLE, np.uint8)


@lru_cache(maxsize=2)
def _cloth(size: int) -> _Cloth:
    scale = size / UNITS
    n_pixels = round(_BOLT * scale)
    rng = np.random.Generator(np.random.PCG64(3))
    x, y = grid(n_pixels, scale)
    shape = (n_pixels, n_pixels)
    # Threads are not perfectly straight.
    across = (x + 0.55 * smooth_noise(shape, (9 * scale, 22 * scale), rng)) / _PITCH
    down = (y + 0.55 * smooth_noise(shape, (22 * scale, 9 * scale), rng)) / _PITCH
    column, row = np.floor(across), np.floor(down)
    from_warp, from_weft = across - column - 0.5, down - row - 0.5
    # 2/2 twill: a thread runs over two and under two, each neighbour one thread later.
    warp_rise = np.cos(np.pi / 2 * (down - column))
    weft_rise = -np.cos(np.pi / 2 * (across - row - 1))
    warp_height, weft_height = _round_profile(from_warp) + warp_rise, _round_profile(from_weft) + weft_rise
    on_top = np.clip(0.5 + 4.0 * (warp_height - weft_height), 0.0, 1.0)
    warp_light = _thread_light(from_warp, warp_rise, across + 0.35 * down, rng, scale)
    weft_light = _thread_light(from_weft, weft_rise, down - 0.35 * across, rng, scale)
    alone = _thread_light(from_warp, np.full(shape, -0.5), across + 0.35 * down, rng, scale)
    return _Cloth(
        warp=(_WHITE * on_top * warp_light).astype(np.float32),
        weft=(_WHITE * (1 - on_top) * weft_light).astype(np.float32),
        warp_alone=(_WHITE * alone).astype(np.float32),
        column=(column - column.min()).astype(np.intp),
        row=(row - row.min()).astype(np.intp),
    )


def _round_profile(from_centre: Float64Array) -> Float64Array:
    """Height of a round thread across its width, 0 to 1; `from_centre` -0.5 to 0.5."""
    return np.sqrt(np.maximum(0.0, 1.0 - (from_centre / 0.5) ** 2))


def _thread_light(
    from_centre: Float64Array, rise: Float64Array, twist: Float64Array, rng: np.random.Generator, scale: float
) -> Float64Array:
    """Light on a thread: bright along its back, dark where it dips, with the twist of its yarn and loose fibres."""
    back = 0.42 + 0.58 * _round_profile(from_centre + 0.06)
    yarn = 1 + 0.06 * np.cos(2 * np.pi * 2.2 * twist) + 0.05 * smooth_noise(rise.shape, 0.7 * scale, rng)
    return back * (0.80 + 0.20 * rise) * yarn


def _anywhere(rng: np.random.Generator, reach: float = 88.0) -> Float64Array:
    return rng.uniform(-reach, reach, 2)


def _stain(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A stain of machine oil."""
    outline = defects.blob(rng, _anywhere(rng), rng.uniform(11, 22), 0.14)
    return defects.stain(layer, outline, np.array([0.56, 0.66, 0.72]) * rng.uniform(0.85, 1.1), softness=2.0)


def _hole(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A torn hole with frayed threads around and across it."""
    centre, radius = _anywhere(rng), rng.uniform(7, 12)
    hole = layer.polygon(defects.blob(rng, centre, radius, 0.2))
    edge = layer.soften(layer.polygon(defects.blob(rng, centre, radius * 1.3, 0.2)), 0.8)
    layer.shade(edge, 0.72)
    frayed = np.zeros_like(hole)
    for heading in rng.uniform(0, 2 * np.pi, 9):
        start = centre + radius * 1.15 * np.array([np.cos(heading), np.sin(heading)])
        fibre = defects.walk(
            rng, start, heading + np.pi + rng.normal(0, 0.5), radius * rng.uniform(0.5, 1.0), wander=0.3
        )
        frayed = np.maximum(frayed, layer.polygon(defects.ribbon(fibre, 0.9)))
    layer.blend(frayed, 0.85 * _THREAD)
    layer.cut_away(np.minimum(hole, 255 - frayed))
    return np.maximum(np.maximum(edge, hole), frayed)


def _pulled_thread(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A weft thread that is pulled out for a stretch and ends loose on the cloth."""
    row = _PITCH * round(rng.uniform(-10, 10))
    left, length = rng.uniform(-95, 5), rng.uniform(45, 95)
    path = np.stack([np.linspace(left, left + length, 24), np.full(24, row)], axis=1)
    path[:, 1] += 0.6 * np.sin(np.linspace(0, 2 * np.pi, 24) + rng.uniform(0, 6))
    gap = layer.polygon(defects.ribbon(path, _PITCH * 0.95))
    layer.blend(gap, layer.bare)
    end = defects.walk(rng, path[-1], rng.uniform(-2.4, 2.4), rng.uniform(18, 30), wander=0.3)
    shadow, thread = (layer.polygon(defects.ribbon(end + offset, 3.6)) for offset in (1.4, 0.0))
    layer.shade(shadow, 0.6)
    layer.blend(thread, _THREAD)
    return np.maximum(np.maximum(gap, shadow), thread)


def _cut(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A knife cut that gapes a little."""
    path = defects.walk(rng, _anywhere(rng, 75), rng.uniform(0, 2 * np.pi), rng.uniform(28, 60), wander=0.03)
    lips = layer.soften(layer.polygon(defects.ribbon(path, 5.5)), 0.6)
    layer.shade(lips, 1.25)
    gap = layer.polygon(defects.ribbon(path, rng.uniform(1.8, 3.0)))
    layer.cut_away(gap)
    return np.maximum(lips, gap)


def _foreign_fibre(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A dark or red fibre from elsewhere, lying on the cloth."""
    path = defects.walk(rng, _anywhere(rng, 70), rng.uniform(0, 2 * np.pi), rng.uniform(45, 90), wander=0.16)
    width = rng.uniform(1.6, 2.6)
    shadow = layer.soften(layer.polygon(defects.ribbon(path + 1.3, width)), 0.5)
    fibre = layer.polygon(defects.ribbon(path, width))
    layer.shade(shadow, 0.6)
    layer.blend(fibre, [(34, 30, 32), (42, 38, 150)][int(rng.integers(2))], 0.92)
    return np.maximum(shadow, fibre)


KIND = Kind(
    draw=draw,
    background=background,
    defects={
        "stain": _stain,
        "hole": _hole,
        "pulled_thread": _pulled_thread,
        "cut": _cut,
        "foreign_fibre": _foreign_fibre,
    },
    pose=PoseRange(rotation_deg=2.0, shift=2.0, zoom=0.02),
)
"""The cloth, and what goes wrong with it."""
