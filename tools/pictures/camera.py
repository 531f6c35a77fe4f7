"""What a camera does to a scene: pose, light, optics, sensor, compression."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from tools.pictures.colours import Picture
from tools.pictures.noise import coordinates, unit


def photographed(rng: np.random.Generator, scene: Picture | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A scene (0 to 1 as float, or uint8) as a camera delivers it: uint8, same size, BGR."""
    picture = scene.astype(np.float32) / 255 if scene.dtype == np.uint8 else scene
    picture = np.clip(picture, 0, 1)
    if rng.random() < 0.4:
        picture = _perspective(rng, picture)
    if rng.random() < 0.5:
        picture = _colours(rng, picture)
    if rng.random() < 0.4:
        u, _ = coordinates(rng, picture.shape[0])
        picture = picture * (1 + rng.uniform(0, 0.6) * (unit(u) - 0.5))[..., None]
    if rng.random() < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8))
    picture = np.clip(picture, 0, 1) ** np.exp(rng.normal(0, 0.25)) * rng.uniform(0.75, 1.1)
    if rng.random() < 0.5:
        picture = picture + rng.uniform(0, 0.05) * rng.standard_normal(picture.shape, dtype=np.float32)
    result = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, content = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])
        result = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
    return result


def _perspective(rng: np.random.Generator, picture: Picture) -> Picture:
    size = picture.shape[0]
    corners = np.float32([[0, 0], [size, 0], [size, size], [0, size]])
    moved = corners + rng.normal(0, 0.12 * size, (4, 2)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved)
    return np.asarray(cv2.warpPerspective(picture, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101), np.float32)


def _colours(rng: np.random.Generator, picture: Picture) -> Picture:
    grey = picture.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.3 else rng.uniform(0.3, 1.5)
    picture = grey + saturation * (picture - grey)
    if rng.random() < 0.3:
        picture = picture[..., rng.permutation(3)]
    return np.asarray(picture * rng.uniform(0.85, 1.15, 3), np.float32)
