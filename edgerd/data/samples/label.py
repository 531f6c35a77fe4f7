"""A printed label on a cardboard box: a header, lines of text, a barcode, a data matrix and a border."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from edgerd.data.samples import defects
from edgerd.data.samples.glyphs import text_strokes
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
)
from edgerd.types import Float64Array, UInt8Array

_LAYER = 224
"""Width and height of the layer in units: the label, and a margin."""
_HALF_WIDTH, _HALF_HEIGHT, _CORNER = 107.0, 77.0, 6.0
_PAPER, _CARDBOARD = (0.955, 0.975, 0.98), (0.54, 0.74, 0.90)
_BLACK, _BLUE = np.array([48.0, 42.0, 40.0]), np.array([128.0, 74.0, 26.0])

_HEADER_BOX = (-102.0, -72.0, 204.0, 25.0)
_BARCODE_BOX = (-97.0, 20.0, 126.0, 36.0)
_MATRIX_BOX = (42.0, -18.0, 55.0, 55.0)
"""Boxes: left, top, width, height."""
_HEADER_TEXT = ("EDGERD", -96.0, -67.0, 15.0, 3.2)
"""Text, left, top, height, width of the strokes."""
_TEXTS = (
    ("BEARING RING 40", -97.0, -38.0, 11.0, 2.2),
    ("LOT 2417-B", -97.0, -18.0, 9.0, 1.8),
    ("QTY 50", -97.0, -1.0, 9.0, 1.8),
    ("4 012345 678901", -94.0, 60.5, 6.8, 1.3),
)
_N_MODULES = 11
"""Modules of the data matrix, across and down."""
_N_BARS = 84
_OVERSAMPLING = 4
_VISIBLE = 8
"""Grey levels that ink must change by to count as a misprint or a smear."""


class _Print(NamedTuple):
    """The print of all labels of one size, and their outline."""

    alpha: UInt8Array
    """(h, w): 255 where there is ink."""
    bgr: UInt8Array
    """(h, w, 3): multiplied by `alpha`."""
    outline: UInt8Array
    """(h, w): 255 where the label is, 0 around it."""
    paper: UInt8Array
    """Grey plane, larger than a layer, from which each label's piece of paper is cut."""


def draw(size: int, rng: np.random.Generator, _pose: Pose) -> Layer:
    """A good label."""
    made = _print(size)
    bare = tinted(random_crop(made.paper, made.alpha.shape[0], rng), _PAPER)
    bgr = laid_over(bare, made.bgr, made.alpha)
    return Layer(bgr=bgr, alpha=made.outline, bare=bare, scale=size / UNITS)


def background(size: int, rng: np.random.Generator, _pose: Pose) -> UInt8Array:
    """Corrugated cardboard."""
    return tinted(random_crop(_cardboard(size), size, rng), _CARDBOARD)


@lru_cache(maxsize=2)
def _print(size: int) -> _Print:
    scale = size / UNITS
    n_pixels = round(_LAYER * scale)
    black, blue = _ink(n_pixels, scale)
    x, y = grid(n_pixels, scale)
    over_x, over_y = np.abs(x) - _HALF_WIDTH + _CORNER, np.abs(y) - _HALF_HEIGHT + _CORNER
    distance = np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0)) + np.minimum(np.maximum(over_x, over_y), 0)
    rng = np.random.Generator(np.random.PCG64(4))
    n_paper = n_pixels + n_pixels // 3
    fibres = smooth_noise((n_paper, n_paper), (1.6 * scale, 0.8 * scale), rng)
    return _Print(
        alpha=rounded(255 * (black + blue)),
        bgr=rounded(black[..., None] * _BLACK + blue[..., None] * _BLUE),
        outline=rounded(255 * inside(distance - _CORNER, scale)),
        paper=rounded(246 + 2.2 * fibres),
    )


def _ink(n_pixels: int, scale: float) -> tuple[Float64Array, Float64Array]:
    """Coverage of black and of blue ink, each float64 (n, n), 0 to 1."""
    black, blue = (np.zeros((_OVERSAMPLING * n_pixels,) * 2, np.uint8) for _ in range(2))
    _fill(blue, _HEADER_BOX, 255, scale)
    _write(blue, _HEADER_TEXT, 0, scale)
    for text in _TEXTS:
        _write(black, text, 255, scale)
    for box in (*_bars(), *_modules(), *_border()):
        _fill(black, box, 255, scale)
    black_ink = _averaged(black)
    return black_ink, _averaged(blue) * (1 - black_ink)


def _bars() -> list[tuple[float, float, float, float]]:
    rng = np.random.Generator(np.random.PCG64(5))
    left, top, width, height = _BARCODE_BOX
    edges = np.cumsum(rng.choice([1, 2, 3], _N_BARS // 2 * 2, p=[0.55, 0.3, 0.15]))
    module = width / edges[-1]
    return [
        (left + module * start, top, module * (end - start), height)
        for start, end in zip(edges[0::2], edges[1::2], strict=True)
    ]


def _modules() -> list[tuple[float, float, float, float]]:
    """A data matrix: a solid L, a dashed L opposite, and bits."""
    rng = np.random.Generator(np.random.PCG64(6))
    bits = rng.random((_N_MODULES, _N_MODULES)) < 0.5
    bits[0], bits[:, -1] = np.arange(_N_MODULES) % 2 == 0, np.arange(_N_MODULES) % 2 == 0
    bits[:, 0] = bits[-1] = True
    left, top, width, _ = _MATRIX_BOX
    module = width / _N_MODULES
    return [(left + module * column, top + module * row, module, module) for row, column in np.argwhere(bits)]


def _border() -> list[tuple[float, float, float, float]]:
    left, top, width, height, line = -102.0, -72.0, 204.0, 144.0, 1.4
    return [
        (left, top, width, line),
        (left, top + height - line, width, line),
        (left, top, line, height),
        (left + width - line, top, line, height),
    ]


def _fill(plane: UInt8Array, box: tuple[float, float, float, float], value: int, scale: float) -> None:
    left, top, width, height = box
    corners = np.array([(left, top), (left + width, top + height)]) * scale * _OVERSAMPLING + plane.shape[0] / 2
    (x0, y0), (x1, y1) = np.rint(corners).astype(int)
    plane[y0:y1, x0:x1] = value


def _write(plane: UInt8Array, text: tuple[str, float, float, float, float], value: int, scale: float) -> None:
    line, left, top, height, stroke_width = text
    fine = scale * _OVERSAMPLING
    for stroke in text_strokes(line, left, top, height):
        points = np.rint((stroke * fine + plane.shape[0] / 2) * 16).astype(np.int32)
        cv2.polylines(plane, [points], False, value, max(1, round(stroke_width * fine)), cv2.LINE_8, 4)


def _averaged(plane: UInt8Array) -> Float64Array:
    n_pixels = plane.shape[0] // _OVERSAMPLING
    fine = plane.reshape(n_pixels, _OVERSAMPLING, n_pixels, _OVERSAMPLING)
    return np.asarray(fine.mean(axis=(1, 3)) / 255)


@lru_cache(maxsize=2)
def _cardboard(size: int) -> UInt8Array:
    scale = size / UNITS
    n_pixels = size + size // 2
    rng = np.random.Generator(np.random.PCG64(7))
    _, y = grid(n_pixels, scale)
    flutes = np.cos(2 * np.pi * y / 13)
    fibres = smooth_noise((n_pixels, n_pixels), (1.8 * scale, 0.8 * scale), rng)
    clouds = smooth_noise((n_pixels, n_pixels), 12 * scale, rng)
    return rounded(196 + 2.5 * flutes + 5.0 * fibres + 2.5 * clouds)


def _visible_change(layer: Layer, before: UInt8Array) -> UInt8Array:
    """Coverage of the visible differences from `before`; fainter differences are undone."""
    seen = cv2.absdiff(layer.bgr, before).max(axis=-1) >= _VISIBLE
    layer.bgr = np.where(seen[..., None], layer.bgr, before)
    return np.asarray(255 * seen, np.uint8)


def _on_print(rng: np.random.Generator) -> Float64Array:
    """Somewhere in the name, the barcode or the data matrix."""
    left, top, width, height = ((-93.0, -34.0, 140.0, 4.0), _BARCODE_BOX, _MATRIX_BOX)[int(rng.integers(3))]
    return rng.uniform((left + 0.15 * width, top + 0.2 * height), (left + 0.85 * width, top + 0.8 * height))


def _misprint(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """Ink that is missing in streaks, as from a worn print head."""
    centre, half_width = _on_print(rng), rng.uniform(13, 24)
    gaps = np.zeros_like(layer.alpha)
    for offset in np.cumsum(rng.uniform(2.2, 5.0, 5)) - 9:
        middle = np.add(centre, (rng.uniform(-5, 5), offset))
        streak = np.multiply([(-1, -1), (1, -1), (1, 1), (-1, 1)], (half_width, 1.0))
        gaps = np.maximum(gaps, layer.polygon(middle + streak))
    before = layer.bgr
    layer.blend(layer.soften(gaps, 0.4), layer.bare, 0.92)
    return _visible_change(layer, before)


def _smear(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """Wet ink wiped to one side."""
    area = layer.soften(layer.polygon(defects.blob(rng, _on_print(rng), rng.uniform(15, 22), 0.15)), 1.5)
    direction, reach = int(rng.choice([-1, 1])), round(rng.uniform(7, 12) * layer.scale)
    before = wiped = layer.bgr
    for step in range(1, reach + 1):
        dragged = (255 - np.roll(before, direction * step, axis=1)) * np.float32(0.9 * (1 - step / (reach + 1)))
        wiped = np.minimum(wiped, 255 - rounded(dragged))
    layer.blend(np.minimum(area, layer.alpha), wiped)
    return _visible_change(layer, before)


def _stain(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A coffee stain."""
    centre = (rng.uniform(-85, 85), rng.uniform(-40, 60))
    outline = defects.blob(rng, centre, rng.uniform(10, 19), 0.13)
    return defects.stain(layer, outline, np.array([0.58, 0.74, 0.86]) * rng.uniform(0.92, 1.04))


def _tear(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A corner torn off, leaving a seam of bare fibres."""
    corner = np.array([rng.choice([-1, 1]) * _HALF_WIDTH, rng.choice([-1, 1]) * _HALF_HEIGHT])
    outward = np.sign(corner)
    along_x, along_y = rng.uniform(16, 36, 2)
    start, end = corner - (outward[0] * along_x, 0), corner - (0, outward[1] * along_y)
    ragged = np.linspace(start, end, 18) + rng.normal(0, 0.9, (18, 2))
    beyond = [end + 6 * outward, corner + 6 * outward, start + 6 * outward]
    torn = np.concatenate([ragged, beyond])
    seam = np.minimum(layer.polygon(torn - outward * rng.uniform(1.8, 3.0)), layer.alpha)
    layer.blend(seam, rounded(232 + 8 * smooth_noise(layer.alpha.shape, 0.8 * layer.scale, rng))[..., None])
    layer.cut_away(layer.polygon(torn))
    return seam


def _scratch(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A scrape down to the fibres."""
    heading, length = rng.uniform(0, 2 * np.pi), rng.uniform(36, 70)
    start = _on_print(rng) - length / 2 * np.array([np.cos(heading), np.sin(heading)])
    path = defects.walk(rng, start, heading, length, wander=0.02)
    return defects.scratch(layer, rng, path, rng.uniform(2.0, 3.2), grey_level=165)


def _crease(layer: Layer, rng: np.random.Generator) -> UInt8Array:
    """A fold from one edge to another: one flank towards the lamp, one away."""
    start = np.array([rng.uniform(-85, 85), -_HALF_HEIGHT - 2])
    # Towards the middle, so that it never cuts off a mere corner.
    end = np.array([start[0] - np.sign(start[0]) * rng.uniform(10, 90), _HALF_HEIGHT + 2])
    path = np.linspace(start, end, 40) + rng.normal(0, 0.25, (40, 2))
    lit, dark = (np.minimum(layer.polygon(defects.ribbon(path + offset, 3.0)), layer.alpha) for offset in (-1.0, 1.0))
    layer.shade(dark, rng.uniform(0.62, 0.75))
    layer.shade(lit, 1.08)
    return np.maximum(lit, dark)


KIND = Kind(
    draw=draw,
    background=background,
    defects={
        "misprint": _misprint,
        "smear": _smear,
        "stain": _stain,
        "tear": _tear,
        "scratch": _scratch,
        "crease": _crease,
    },
    pose=PoseRange(rotation_deg=3.0, shift=4.0, zoom=0.02),
)
"""The label, and what goes wrong with it."""
