"""Colours: palettes that turn a field into a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from tools.pictures.noise import Field

Picture = npt.NDArray[np.float32]
"""float32 (size, size, 3), BGR, 0 to 1 (values outside are cut when it is photographed)."""


def colour(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """One BGR colour: grey in a third of all cases, else with any hue and saturation."""
    saturation = 0.0 if rng.random() < 0.33 else rng.beta(1.2, 1.8)
    hsv = np.array([[[rng.uniform(0, 360), saturation, rng.beta(1.3, 1.1)]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0], np.float32)


def relative(rng: np.random.Generator, base: npt.NDArray[np.float32], spread: float) -> npt.NDArray[np.float32]:
    """A colour near another: materials vary more in brightness than in hue."""
    return np.clip(base + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 0, 1).astype(np.float32)


def palette(rng: np.random.Generator, field: Field) -> Picture:
    """Colour a field of 0 to 1 along two to four random colours."""
    n_colours = int(rng.integers(2, 5))
    first = colour(rng)
    spread = rng.uniform(0.05, 0.5)
    near = rng.random() < 0.7
    stops = np.stack([first] + [relative(rng, first, spread) if near else colour(rng) for _ in range(n_colours - 1)])
    places = np.sort(rng.uniform(0, 1, n_colours))
    table = np.stack([np.interp(np.linspace(0, 1, 256), places, stops[:, c]) for c in range(3)], axis=1)
    return np.asarray(table.astype(np.float32)[(np.clip(field, 0, 1) * 255).astype(np.uint8)])
