"""Photographs that scikit-image and scikit-learn carry in their wheels, where the licence clearly permits sale.

Only those that their own documentation calls CC0, public domain or CC BY take part; what is merely "without known
copyright restrictions", or says nothing, does not, and no portraits do.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import skimage
import sklearn

SKIMAGE: Final = Path(skimage.__file__).parent / "data"
SKLEARN: Final = Path(sklearn.__file__).parent / "datasets" / "images"

TRAINING: Final = (
    SKIMAGE / "brick.png",
    SKIMAGE / "camera.png",
    SKIMAGE / "cell.png",
    SKIMAGE / "chelsea.png",
    SKIMAGE / "clock_motion.png",
    SKIMAGE / "coffee.png",
    SKIMAGE / "grass.png",
    SKIMAGE / "hubble_deep_field.jpg",
    SKIMAGE / "retina.jpg",
    SKIMAGE / "text.png",
    SKLEARN / "china.jpg",
)
HELD_OUT: Final = (SKIMAGE / "gravel.png", SKIMAGE / "rocket.jpg")
"""Only the distillation loss is measured on these."""


def crop(rng: np.random.Generator, size_px: int) -> npt.NDArray[np.uint8]:
    """A random part of a random photograph."""
    return _crop(rng, TRAINING, size_px)


def held_out_crop(rng: np.random.Generator, size_px: int) -> npt.NDArray[np.uint8]:
    """A random part of a photograph that training never sees."""
    return _crop(rng, HELD_OUT, size_px)


def _crop(rng: np.random.Generator, files: tuple[Path, ...], size_px: int) -> npt.NDArray[np.uint8]:
    photograph = _read(files[int(rng.integers(len(files)))])
    largest = min(photograph.shape[:2])
    side = int(np.exp(rng.uniform(np.log(min(96, largest)), np.log(largest))))
    y, x = (int(rng.integers(0, length - side + 1)) for length in photograph.shape[:2])
    shrinks = side > size_px
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    cut = cv2.resize(photograph[y : y + side, x : x + side], (size_px, size_px), interpolation=method)
    turned = np.rot90(cut, int(rng.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if rng.random() < 0.5 else turned)


@cache
def _read(file: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_COLOR), np.uint8)
