"""Objects with depth: a silhouette is given a bevel, a light, a material and a shadow."""

from __future__ import annotations

import cv2
import numpy as np

from tools.pictures.colours import Picture, colour, relative
from tools.pictures.noise import Field, blurred, log_uniform, spectral
from tools.pictures.textures import any_texture

_SUBPIXEL_BITS = 4


def silhouette(rng: np.random.Generator, size_px: int, radius_px: float, centre: tuple[float, float]) -> Field:
    """Coverage 0 to 1 of a gear, nut, ring, ellipse, polygon, bar or blob."""
    angles = np.linspace(0, 2 * np.pi, 181)[:-1] + rng.uniform(0, 2 * np.pi)
    kind = rng.integers(5)
    if kind == 0:
        teeth, depth = int(rng.integers(6, 30)), rng.uniform(0.08, 0.3)
        radius = 1 - depth * (np.sin(teeth * angles) > rng.uniform(-0.4, 0.4))
    elif kind == 1:
        sides = int(rng.integers(3, 9))
        radius = np.cos(np.pi / sides) / np.cos(angles % (2 * np.pi / sides) - np.pi / sides)
    elif kind == 2:
        harmonics = np.arange(2, 8)
        size = rng.normal(0, 0.35, (6, 1)) / harmonics[:, None]
        radius = 1 + (size * np.cos(harmonics[:, None] * angles + rng.uniform(0, 6, (6, 1)))).sum(axis=0)
    elif kind == 3:
        radius = np.minimum(1 / np.abs(np.cos(angles)).clip(1e-3), 1 / np.abs(np.sin(angles)).clip(1e-3))
    else:
        radius = np.ones_like(angles)
    outline = np.stack([radius * np.cos(angles), radius * np.sin(angles) * rng.uniform(0.35, 1)], axis=1)
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    mask = np.zeros((size_px, size_px), np.uint8)
    _fill(mask, outline @ rotation.T * radius_px + centre, 255)
    if rng.random() < 0.35:
        hole = outline if rng.random() < 0.5 else np.stack([np.cos(angles), np.sin(angles)], axis=1)
        _fill(mask, hole @ rotation.T * radius_px * rng.uniform(0.15, 0.7) + centre, 0)
    return np.asarray(mask, np.float32) / 255


def _fill(mask: np.ndarray, points: np.ndarray, value: int) -> None:
    cv2.fillPoly(mask, [(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)], value, cv2.LINE_AA, _SUBPIXEL_BITS)


def shading(rng: np.random.Generator, mask: Field, bevel_px: float) -> tuple[Field, Field]:
    """Diffuse and specular light on a solid of that outline whose edge is rounded over `bevel_px`."""
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    rounded = np.clip(inside / bevel_px, 0, 1)
    height = blurred(np.sqrt(1 - (1 - rounded) ** 2).astype(np.float32) * bevel_px, 0.8)
    if rng.random() < 0.5:
        height = height + rng.uniform(0.1, 1.0) * spectral(rng, mask.shape[0], rng.uniform(1, 1.8))
    gy, gx = np.gradient(height)
    light = np.append(rng.normal(0, 0.6, 2), 1.0)
    light /= np.linalg.norm(light)
    cosine = (light[2] - gx * light[0] - gy * light[1]) / np.sqrt(1 + gx**2 + gy**2)
    diffuse = np.clip(cosine, 0, 1)
    return diffuse.astype(np.float32), (diffuse ** rng.uniform(8, 60)).astype(np.float32)


def place(rng: np.random.Generator, picture: Picture, material: Picture, mask: Field) -> Picture:
    """Put one lit object of a material on a picture, with its shadow."""
    radius_px = max(float(np.sqrt(mask.sum() / np.pi)), 2.0)
    diffuse, specular = shading(rng, mask, radius_px * rng.uniform(0.05, 0.9))
    shift = np.float32([[1, 0, rng.normal(0, 0.08) * radius_px], [0, 1, rng.normal(0, 0.08) * radius_px]])
    shadow = blurred(cv2.warpAffine(mask, shift, mask.shape[::-1]), 0.06 * radius_px)
    lit = material * (0.3 + 0.8 * diffuse[..., None]) + rng.uniform(0, 0.6) * specular[..., None]
    ground = picture * (1 - rng.uniform(0, 0.7) * shadow[..., None])
    return (ground * (1 - mask[..., None]) + lit * mask[..., None]).astype(np.float32)


def material(rng: np.random.Generator, size_px: int) -> Picture:
    """A texture, or plain colour in a third of all cases."""
    if rng.random() < 0.35:
        return np.broadcast_to(relative(rng, colour(rng), 0.05), (size_px, size_px, 3)).astype(np.float32)
    return any_texture(rng, size_px)


def still_life(rng: np.random.Generator, size_px: int) -> Picture:
    """One to five objects on a ground, as on an inspection table."""
    picture = material(rng, size_px)
    shared = material(rng, size_px)
    for _ in range(int(rng.choice([1, 1, 2, 3, 5]))):
        centre = (rng.uniform(0.2, 0.8) * size_px, rng.uniform(0.2, 0.8) * size_px)
        mask = silhouette(rng, size_px, log_uniform(rng, 0.08, 0.55) * size_px, centre)
        picture = place(rng, picture, shared if rng.random() < 0.6 else material(rng, size_px), mask)
    return picture
