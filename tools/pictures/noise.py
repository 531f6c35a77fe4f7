"""Random fields: the raw material of textures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""float32 (size, size)."""


def spectral(rng: np.random.Generator, size_px: int, slope: float, stretch: float = 1.0, angle: float = 0.0) -> Field:
    """Noise whose amplitude falls as 1 / frequency ** slope; natural pictures have about 1.

    Args:
        rng: Source of chance.
        size_px: Height and width.
        slope: 0 is white, 2 is smooth clouds.
        stretch: Above 1, structures are that many times longer along `angle` than across.
        angle: Direction in radians.

    Returns:
        float32 (size_px, size_px), mean 0, standard deviation 1.
    """
    fy = np.fft.fftfreq(size_px)[:, None]
    fx = np.fft.rfftfreq(size_px)[None, :]
    along = (fx * np.cos(angle) + fy * np.sin(angle)) * stretch
    across = fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.maximum(np.sqrt(along**2 + across**2), 1.0 / size_px)
    white = np.fft.rfft2(rng.standard_normal((size_px, size_px), dtype=np.float32))
    white[0, 0] = 0
    return standardised(np.fft.irfft2(white / radius**slope, s=(size_px, size_px)))


def standardised(field: npt.NDArray[np.floating]) -> Field:
    """Mean 0, standard deviation 1."""
    return ((field - field.mean()) / (field.std() + 1e-6)).astype(np.float32)


def unit(field: npt.NDArray[np.floating]) -> Field:
    """Brought to 0 to 1, smallest to largest."""
    low, high = float(field.min()), float(field.max())
    return ((field - low) / (high - low + 1e-6)).astype(np.float32)


def coordinates(rng: np.random.Generator, size_px: int, bend_px: float = 0.0) -> tuple[Field, Field]:
    """Return x and y in pixels about the middle, turned by a random angle and bent by smooth noise of `bend_px`."""
    angle = rng.uniform(0, np.pi)
    axis = np.arange(size_px, dtype=np.float32) - size_px / 2
    x, y = np.meshgrid(axis, axis)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    if bend_px:
        u = u + bend_px * spectral(rng, size_px, 2.0)
        v = v + bend_px * spectral(rng, size_px, 2.0)
    return u.astype(np.float32), v.astype(np.float32)


def blurred(field: Field, sigma_px: float) -> Field:
    """Gaussian blur; below a third of a pixel nothing changes."""
    return field if sigma_px < 0.3 else np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), np.float32)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm: sizes without a preferred scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
