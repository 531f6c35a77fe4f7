"""A turned metal ring on a conveyor belt: a hub with a bore and a keyway, a flange with six countersunk bolt holes."""

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
    inside,
    laid_over,
    random_crop,
    rounded,
    smooth_noise,
    tinted,
    weighted,
)
from edgerd.types import Float32Array, Float64Array, UInt8Array

_OUTER, _HUB, _BORE, _CHAMFER = 100.0, 61.0, 40.0, 3.2
_BOLT_CIRCLE, _BOLT_HOLE, _COUNTERSINK = 80.0, 7.5, 11.0
_N_BOLTS = 6
_LAYER = 212
"""Width of the layer in units: the ring, and a margin."""
_MARKS_PER_UNIT = 4
_N_ANGLES = 1024
_METAL = (0.985, 1.0, 0.995)
"""Blue, green and red of the metal, as factors of its grey level."""


class _Static(NamedTuple):
    """What all rings of one size have in common. h = w = the layer's size in pixels."""

    tone: Float32Array
    """(h, w): reflectance, fine grain and edges included."""
    chamfers: Float32Array
    """(h, w): added light of the bevelled edges, grey levels."""
    radius_index: npt.NDArray[np.intp]
    """(h, w): index into the turning marks."""
    angle_index: npt.NDArray[np.intp]
    """(h, w): index into the highlights."""
    alpha: UInt8Array
    """(h, w): 255 where the ring is, 0 around it and in the bore."""
    holes_bgr: UInt8Array
    """(h, w, 3): multiplied by `holes_alpha`."""
    holes_alpha: UInt8Array
    """(h, w): 255 where there is a bolt hole."""


def draw(size: int, rng: np.random.Generator, pose: Pose) -> Layer:
    """A good ring."""
    static = _static(size)
    light = np.take(_highlights(rng, pose.rotation_rad), static.angle_index)
    grey = static.tone * np.take(_turning_marks(rng), static.radius_index) * light + static.chamfers
    bare = tinted(rounded(grey), _METAL)
    bgr = laid_over(bare, static.holes_bgr, static.holes_alpha)
    return Layer(bgr=bgr, alpha=static.alpha, bare=bare, scale=size / UNITS)


def background(size: int, rng: np.random.Generator, pose: Pose) -> UInt8Array:
    """A random piece of a green belt, with the ring's shadow."""
    shadow = _shadow(size)
    middle = (shadow.shape[0] - size) / 2
    left, top = (round(middle - offset * size / UNITS) for offset in (pose.shift[0] + 5.0, pose.shift[1] + 6.0))
    lit = 255 - shadow[top : top + size, left : left + size]
    return weighted(random_crop(_belt(size), size, rng), lit)


def _turning_marks(rng: np.random.Generator) -> Float32Array:
    """Gain by radius: the lathe's fine grooves, different on every ring."""
    n_marks = _MARKS_PER_UNIT * (_LAYER // 2 + 48)
    fine = np.convolve(rng.standard_normal(n_marks), [0.25, 0.5, 0.25], "same")
    coarse = np.convolve(rng.standard_normal(n_marks), np.hanning(17), "same")
    return (1.0 + 0.035 * fine + 0.012 * coarse).astype(np.float32)


def _highlights(rng: np.random.Generator, rotation_rad: float) -> Float32Array:
    """Gain by angle: turned metal shines in two sectors that stay where the lamp is when the ring turns."""
    towards_lamp = np.arctan2(defects.LIGHT_FROM[1], defects.LIGHT_FROM[0]) + rng.normal(0.0, 0.02) + rotation_rad
    angle = np.linspace(-np.pi, np.pi, _N_ANGLES) - towards_lamp
    strength = rng.normal(1.0, 0.03, 3)
    near = strength[0] * np.exp((np.cos(angle) - 1) / 0.10)
    far = strength[1] * np.exp((-np.cos(angle) - 1) / 0.07)
    side = strength[2] * np.exp((np.cos(2 * angle + 1.9) - 1) / 0.12)
    return np.asarray(0.78 + 0.50 * near + 0.40 * far + 0.14 * side, np.float32)


@lru_cache(maxsize=2)
def _static(size: int) -> _Static:
    scale = size / UNITS
    n_pixels = round(_LAYER * scale)
    x, y = grid(n_pixels, scale)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    keyway = np.maximum(np.abs(y) - 6.0, np.abs(x - _BORE) - 8.0)
    bore = np.minimum(radius - _BORE, keyway)
    material = inside(np.maximum(radius - _OUTER, -bore), scale)
    holes_bgr, holes_alpha = _bolt_holes(x, y, scale)
    rng = np.random.Generator(np.random.PCG64(1))
    return _Static(
        tone=(_tone(radius, scale) * (1 + 0.02 * smooth_noise(radius.shape, 0.7 * scale, rng))).astype(np.float32),
        chamfers=_chamfers(radius, bore, angle, scale).astype(np.float32),
        radius_index=np.rint(radius * _MARKS_PER_UNIT).astype(np.intp),
        angle_index=np.rint((angle + np.pi) / (2 * np.pi) * (_N_ANGLES - 1)).astype(np.intp),
        alpha=rounded(255 * material),
        holes_bgr=holes_bgr,
        holes_alpha=holes_alpha,
    )


def _tone(radius: Float64Array, scale: float) -> Float64Array:
    """Grey levels of the faces before light and marks: the hub stands a step above the flange."""
    hub = inside(radius - _HUB, scale)
    step = np.exp(-(((radius - _HUB - 1.2) / 1.4) ** 2))
    groove = np.exp(-(((radius - 92.5) / 0.9) ** 2))
    return (158 * (1 - hub) + 142 * hub) * (1 - 0.42 * step) * (1 - 0.3 * groove)


def _chamfers(radius: Float64Array, bore: Float64Array, angle: Float64Array, scale: float) -> Float64Array:
    """Light that the bevels at rim, step and bore add or take: each faces outward or inward."""
    facing = np.cos(angle - np.arctan2(defects.LIGHT_FROM[1], defects.LIGHT_FROM[0]))
    rim = inside(_OUTER - _CHAMFER - radius, scale)
    step = inside(np.abs(radius - _HUB + 1.0) - 1.0, scale)
    edge = inside(bore - _CHAMFER, scale)
    return np.asarray((62 * rim + 50 * step - 58 * edge) * facing - 10 * rim)


def _bolt_centre(index: int) -> tuple[float, float]:
    angle = 2 * np.pi * (index + 0.5) / _N_BOLTS
    return float(_BOLT_CIRCLE * np.cos(angle)), float(_BOLT_CIRCLE * np.sin(angle))


def _bolt_holes(x: Float64Array, y: Float64Array, scale: float) -> tuple[UInt8Array, UInt8Array]:
    """Six countersinks, lit on the side away from the lamp, with a dark thread below."""
    grey, alpha = np.zeros((y.size, x.size)), np.zeros((y.size, x.size))
    for index in range(_N_BOLTS):
        centre_x, centre_y = _bolt_centre(index)
        right, down = x - centre_x, y - centre_y
        distance = np.hypot(right, down)
        away = -(right * defects.LIGHT_FROM[0] + down * defects.LIGHT_FROM[1]) / np.maximum(distance, 1e-9)
        sink = 132 + 72 * away
        thread = 30 + 26 * np.clip(away, 0, 1) * (distance / _BOLT_HOLE) ** 2 * (1 + 0.35 * np.cos(distance * 2.6))
        hole = inside(distance - _BOLT_HOLE, scale)
        covers = inside(distance - _COUNTERSINK, scale)
        grey += covers * (sink * (1 - hole) + thread * hole)
        alpha += covers
    return tinted(rounded(grey), _METAL), rounded(255 * alpha)


@lru_cache(maxsize=2)
def _shadow(size: int) -> UInt8Array:
    scale = size / UNITS
    n_pixels = round((UNITS + 24) * scale)
    x, y = grid(n_pixels, scale)
    radius = np.hypot(x, y)
    covered = 150 * inside(np.maximum(radius - _OUTER, _BORE - radius), scale)
    return rounded(np.asarray(cv2.GaussianBlur(covered, (0, 0), 4.5 * scale), np.float64))


@lru_cache(maxsize=2)
def _belt(size: int) -> UInt8Array:
    scale = size / UNITS
    shape = (size + size // 2, size + size // 2)
    rng = np.random.Generator(np.random.PCG64(2))
    x, y = grid(shape[0], scale)
    weave = np.cos(2 * np.pi * (x + y) / 3.4) * np.cos(2 * np.pi * (x - y) / 3.4)
    grey = (
        1 + 0.045 * weave + 0.035 * smooth_noise(shape, 0.8 * scale, rng) + 0.02 * smooth_noise(shape, 14 * scale, rng)
    )
    return rounded(grey[..., None] * np.array([74.0, 92.0, 62.0]))


def _scratch(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    angle, radius, length = rng.uniform(0, 2 * np.pi), rng.uniform(58, 86), rng.uniform(28, 56)
    # Across the turning marks: along them it would look like one of them.
    heading = angle + rng.choice([-1, 1]) * rng.uniform(0.3, 1.2)
    middle = radius * np.array([np.cos(angle), np.sin(angle)])
    start = middle - length / 2 * np.array([np.cos(heading), np.sin(heading)])
    path = defects.walk(rng, start, heading, length, wander=0.02)
    return defects.scratch(layer, rng, path, rng.uniform(1.8, 2.8), grey_level=215)


def _dent(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A round dent: dark towards the lamp, bright on the far side."""
    angle, radius = rng.uniform(0, 2 * np.pi), rng.choice([rng.uniform(66, 72), rng.uniform(50, 54)])
    size = rng.uniform(5.5, 8.5)
    centre = np.array([radius * np.cos(angle), radius * np.sin(angle)])
    x, y = grid(layer.alpha.shape[0], layer.scale)
    right, down = (x - centre[0]) / size, (y - centre[1]) / size
    distance = np.hypot(right, down)
    slope = -(right * defects.LIGHT_FROM[0] + down * defects.LIGHT_FROM[1]) * np.exp(-(distance**2))
    coverage = np.minimum(rounded(255 * inside((distance - 1.35) * size, layer.scale)), layer.alpha)
    layer.shade(coverage, (1 + rng.uniform(1.1, 1.5) * slope - 0.25 * np.exp(-2 * distance**2))[..., None])
    return coverage


def _stain(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A stain of rusty cutting fluid."""
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(52, 90)
    outline = defects.blob(rng, (radius * np.cos(angle), radius * np.sin(angle)), rng.uniform(8, 14), 0.14)
    return defects.stain(layer, outline, np.array([0.52, 0.66, 0.80]) * rng.uniform(0.85, 1.0))


def _chip(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A piece broken out of the rim; the break is rough and catches the light."""
    angle = rng.uniform(0, 2 * np.pi)
    place = _OUTER + rng.uniform(0.0, 2.0)
    centre = (place * np.cos(angle), place * np.sin(angle))
    outline = defects.blob(rng, centre, rng.uniform(7.0, 11.0), 0.16)
    around = np.asarray(centre) + (outline - centre) * 1.3
    broken = np.minimum(layer.polygon(around), layer.alpha)
    facets = smooth_noise(layer.alpha.shape, 0.9 * layer.scale, rng)
    layer.blend(broken, tinted(rounded(165 + 45 * facets), _METAL))
    layer.cut_away(layer.polygon(outline))
    return broken


def _crack(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A crack that runs outward from the bore, with one branch."""
    angle = rng.uniform(0.3, 2 * np.pi - 0.3)
    start = ((_BORE + 1) * np.cos(angle), (_BORE + 1) * np.sin(angle))
    path = defects.walk(rng, start, angle, rng.uniform(26, 48), wander=0.3)
    fork = path[len(path) // 2]
    branch = defects.walk(rng, fork, angle + rng.choice([-0.8, 0.8]), rng.uniform(8, 16), wander=0.3)
    width = rng.uniform(1.1, 1.8)
    dark = np.maximum(layer.polygon(defects.ribbon(path, width)), layer.polygon(defects.ribbon(branch, 0.8 * width)))
    dark = np.minimum(dark, layer.alpha)
    layer.shade(dark, 0.3)
    return dark


def _missing_hole(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    x, y = grid(layer.alpha.shape[0], layer.scale)
    centre_x, centre_y = _bolt_centre(int(rng.integers(_N_BOLTS)))
    coverage = rounded(255 * inside(np.hypot(x - centre_x, y - centre_y) - _COUNTERSINK - 0.6, layer.scale))
    layer.blend(coverage, layer.bare)
    return coverage


KIND = Kind(
    draw=draw,
    background=background,
    defects={
        "scratch": _scratch,
        "dent": _dent,
        "stain": _stain,
        "chip": _chip,
        "crack": _crack,
        "missing_hole": _missing_hole,
    },
    pose=PoseRange(rotation_deg=3.0, shift=3.0, zoom=0.015),
)
"""The ring, and what goes wrong with it."""
