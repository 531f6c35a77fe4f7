"""Textures of materials: stone, wood, metal, masonry, leather, weave, felt, print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from tools.pictures.colours import Picture, colour, palette, relative
from tools.pictures.noise import Field, blurred, coordinates, log_uniform, spectral, standardised, unit


def clouds(rng: np.random.Generator, size_px: int) -> Picture:
    """Fractal noise of any slope, often quantised into patches: stone, paper, camouflage."""
    field = unit(spectral(rng, size_px, rng.uniform(0.5, 2.2), log_uniform(rng, 1, 4), rng.uniform(0, np.pi)))
    if rng.random() < 0.25:
        field = np.floor(field * rng.integers(3, 9)).astype(np.float32) / 8
    return palette(rng, field)


def wood(rng: np.random.Generator, size_px: int) -> Picture:
    """Growth rings cut lengthwise, with fibres."""
    u, v = coordinates(rng, size_px, rng.uniform(2, 12))
    rings = np.sqrt((u + rng.uniform(-size_px, size_px)) ** 2 + (v * rng.uniform(0.02, 0.3)) ** 2)
    field = 0.5 + 0.5 * np.sin(2 * np.pi * rings / log_uniform(rng, 5, 40))
    fibre = spectral(rng, size_px, 0.7, rng.uniform(8, 30), rng.uniform(0, np.pi))
    return palette(rng, unit(field + rng.uniform(0.05, 0.4) * fibre))


def brushed(rng: np.random.Generator, size_px: int) -> Picture:
    """Brushed or turned metal under a broad reflection."""
    if rng.random() < 0.6:
        field = spectral(rng, size_px, rng.uniform(0.3, 1.0), rng.uniform(10, 60), rng.uniform(0, np.pi))
    else:
        u, v = coordinates(rng, size_px)
        radius = np.hypot(u - rng.uniform(-1, 1) * size_px / 2, v - rng.uniform(-1, 1) * size_px / 2)
        profile = standardised(blurred(rng.standard_normal((1, 2 * size_px)).astype(np.float32), rng.uniform(0.5, 2)))
        field = np.asarray(profile[0, radius.astype(np.int32) % (2 * size_px)])
    light = spectral(rng, size_px, 2.2)
    grey = 0.5 + rng.uniform(0.02, 0.12) * field + rng.uniform(0.02, 0.15) * light
    return (grey[..., None] * (0.6 + 0.8 * relative(rng, colour(rng), 0.1))).astype(np.float32)


def bricks(rng: np.random.Generator, size_px: int) -> Picture:
    """Bricks or tiles with joints; each stone has its own tone."""
    u, v = coordinates(rng, size_px, rng.uniform(0, 3))
    height = log_uniform(rng, 8, 64)
    width = height * rng.choice([1.0, 2.0, 3.0])
    row = np.floor(v / height)
    offset = u / width + (0.5 * (row % 2) if rng.random() < 0.6 else 0)
    column = np.floor(offset)
    across, along = (v / height - row) * height, (offset - column) * width
    edge = np.minimum(np.minimum(across, height - across), np.minimum(along, width - along))
    joint = np.clip((edge - rng.uniform(0.5, 0.12 * height)) / rng.uniform(0.7, 3), 0, 1)
    tone = np.sin(row * 12.9898 + column * 78.233 + rng.uniform(0, 9)) * 43758.5453
    stones = palette(rng, (0.5 + 0.5 * (tone - np.floor(tone))).astype(np.float32))
    stones *= 1 + rng.uniform(0.02, 0.2) * spectral(rng, size_px, rng.uniform(0.4, 1.4))[..., None]
    return (stones * joint[..., None] + colour(rng) * (1 - joint[..., None])).astype(np.float32)


def cells(rng: np.random.Generator, size_px: int) -> Picture:
    """Voronoi cells: gravel, leather, cracked paint, grains of a casting."""
    n_cells = int(log_uniform(rng, 12, 1500))
    seeds = np.full((size_px, size_px), 255, np.uint8)
    seeds[rng.integers(0, size_px, n_cells), rng.integers(0, size_px, n_cells)] = 0
    distance, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tones = rng.random(int(label.max()) + 1).astype(np.float32)[label]
    dome = 1 - distance / (size_px / np.sqrt(n_cells))
    weight = rng.uniform(0, 1)
    field = unit(weight * tones + (1 - weight) * dome + 0.05 * spectral(rng, size_px, 1.0))
    return palette(rng, blurred(field, rng.uniform(0, 1)))


def dots(rng: np.random.Generator, size_px: int) -> Picture:
    """Holes or studs on a grid: perforated sheet, knurling, halftone."""
    u, v = coordinates(rng, size_px, rng.uniform(0, 1.5))
    pitch = log_uniform(rng, 5, 48)
    shift = 0.5 * (np.floor(v / pitch) % 2) if rng.random() < 0.5 else 0.0
    x, y = (u / pitch + shift) % 1 - 0.5, (v / pitch) % 1 - 0.5
    radius = np.hypot(x, y) if rng.random() < 0.7 else np.maximum(np.abs(x), np.abs(y))
    inside = np.clip((rng.uniform(0.15, 0.45) - radius) * pitch / rng.uniform(0.5, 3) + 0.5, 0, 1)
    shading = 1 + rng.uniform(0, 0.8) * (x * rng.normal() + y * rng.normal())
    ground = palette(rng, unit(spectral(rng, size_px, rng.uniform(0.5, 1.5))))
    ink = colour(rng) * np.clip(shading, 0.3, 2)[..., None]
    return (ground * (1 - inside[..., None]) + ink * inside[..., None]).astype(np.float32)


def weave(rng: np.random.Generator, size_px: int) -> Picture:
    """Plain, twill or satin weave of round, uneven threads."""
    u, v = coordinates(rng, size_px, rng.uniform(0.3, 2.5))
    pitch = log_uniform(rng, 3, 22)
    i, j = np.floor(u / pitch), np.floor(v / pitch)
    repeat = int(rng.integers(2, 6))
    warp_on_top = (i + int(rng.integers(1, repeat)) * j) % repeat < max(1, repeat // 2)
    warp_round = np.sin(np.pi * (u / pitch - i))
    weft_round = np.sin(np.pi * (v / pitch - j))
    depth = np.where(warp_on_top, warp_round * (0.7 + 0.3 * weft_round), weft_round * (0.7 + 0.3 * warp_round))
    warp = colour(rng)
    weft = relative(rng, warp, rng.uniform(0, 0.3))
    threads = np.where(warp_on_top[..., None], warp, weft)
    fibre = 1 + rng.uniform(0.02, 0.2) * spectral(rng, size_px, rng.uniform(0.2, 1.0))
    return (threads * ((0.35 + 0.75 * depth) * fibre)[..., None]).astype(np.float32)


def waves(rng: np.random.Generator, size_px: int) -> Picture:
    """A few gratings laid over each other: ribs, corrugation, threads of a screw."""
    field = np.zeros((size_px, size_px), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        u, _ = coordinates(rng, size_px, rng.uniform(0, 4))
        wave = np.sin(2 * np.pi * u / log_uniform(rng, 4, 60) + rng.uniform(0, 6))
        field += wave if rng.random() < 0.6 else np.tanh(wave * 6)
    return palette(rng, unit(field + 0.1 * spectral(rng, size_px, 1.0)))


def grains(rng: np.random.Generator, size_px: int) -> Picture:
    """Speckles of one scale: terrazzo, sandpaper, foam, sprayed paint."""
    field = standardised(blurred(rng.standard_normal((size_px, size_px)).astype(np.float32), log_uniform(rng, 0.4, 6)))
    if rng.random() < 0.5:
        field = np.tanh((field - rng.uniform(-1, 2)) * rng.uniform(2, 10)).astype(np.float32)
    return palette(rng, unit(field))


def gradient(rng: np.random.Generator, size_px: int) -> Picture:
    """A smooth, nearly empty surface."""
    u, v = coordinates(rng, size_px)
    field = unit(u + rng.uniform(0, 1) * v * v / size_px)
    picture = palette(rng, (0.5 + rng.uniform(0.1, 0.5) * (field - 0.5)).astype(np.float32))
    return picture + rng.uniform(0, 0.04) * spectral(rng, size_px, rng.uniform(0, 1.5))[..., None]


def fibres(rng: np.random.Generator, size_px: int) -> Picture:
    """Lines and arcs in all or nearly one direction: felt, carpet, hair, scratches."""
    picture = palette(rng, unit(spectral(rng, size_px, 1.2)))
    base, spread = colour(rng), rng.uniform(0.05, 0.4)
    direction, disorder = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 3)
    length = log_uniform(rng, 8, 160)
    for _ in range(int(log_uniform(rng, 20, 900))):
        angle = direction + disorder * rng.normal()
        bend = angle + rng.normal(0, 0.4)
        start = rng.uniform(-10, size_px + 10, 2)
        middle = start + length / 2 * np.array([np.cos(angle), np.sin(angle)])
        end = middle + length / 2 * np.array([np.cos(bend), np.sin(bend)])
        points = (np.stack([start, middle, end]) * 16).astype(np.int32)
        ink = tuple(float(c) for c in relative(rng, base, spread))
        cv2.polylines(picture, [points], False, ink, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
    return picture


def print_(rng: np.random.Generator, size_px: int) -> Picture:
    """Lines of printed letters and digits, bars now and then."""
    ground = palette(rng, unit(spectral(rng, size_px, 1.5))) if rng.random() < 0.4 else _plain(rng, size_px)
    ink = np.zeros((size_px, size_px), np.uint8)
    scale = log_uniform(rng, 0.3, 2.5)
    thickness = max(1, round(scale * rng.uniform(0.8, 3)))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-/:"))
    y = rng.uniform(0, 20 * scale)
    while y < size_px + 20 * scale:
        line = "".join(rng.choice(letters, 60))
        cv2.putText(ink, line, (int(rng.uniform(-20, 20)), int(y)), font, scale, 255, thickness, cv2.LINE_AA)
        y += scale * rng.uniform(28, 60)
    if rng.random() < 0.3:
        edges = np.cumsum(rng.integers(2, 9, 40)) + int(rng.uniform(0, size_px / 2))
        for left, right in zip(edges[::2], edges[1::2], strict=True):
            ink[size_px // 3 : size_px // 2, left:right] = 255
    cover = ink[..., None].astype(np.float32) / 255
    return (ground * (1 - cover) + colour(rng) * cover).astype(np.float32)


def _plain(rng: np.random.Generator, size_px: int) -> Picture:
    return np.broadcast_to(colour(rng), (size_px, size_px, 3)).copy()


TEXTURES: Final[tuple[Callable[[np.random.Generator, int], Picture], ...]] = (
    clouds, wood, brushed, bricks, cells, dots, weave, waves, grains, gradient, fibres, print_,
)  # fmt: skip


def any_texture(rng: np.random.Generator, size_px: int) -> Picture:
    """One of `TEXTURES`."""
    return TEXTURES[int(rng.integers(len(TEXTURES)))](rng, size_px)


def texture(rng: np.random.Generator, size_px: int) -> Picture:
    """One texture, or two side by side along a ragged border: a flaw, a seam, a stain."""
    first = any_texture(rng, size_px)
    if rng.random() < 0.5:
        return first
    mask = blob_mask(rng, size_px)[..., None]
    second = any_texture(rng, size_px) if rng.random() < 0.5 else first * rng.uniform(0.4, 1.6)
    return (first * (1 - mask) + second * mask).astype(np.float32)


def blob_mask(rng: np.random.Generator, size_px: int) -> Field:
    """Patches of 0 to 1 with a soft or sharp border, covering anything from spots to half of the picture."""
    field = spectral(rng, size_px, rng.uniform(1.2, 2.2))
    return np.clip((field - rng.uniform(0, 2)) * log_uniform(rng, 1, 30), 0, 1).astype(np.float32)
