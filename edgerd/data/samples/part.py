"""What the kinds of sample part have in common: a part is a layer that is drawn, damaged, posed and photographed.

Lengths are in units: a picture is 256 units wide whatever its size in pixels. Points are (x, y) from the centre of
the layer, x to the right, y down.

A seed gives the same picture on every machine. So no rounding may depend on the machine: random numbers come from
PCG64, anything beyond a single float operation is done in float64 before it becomes uint8, and of OpenCV only integer
drawing, fixed-point `remap` and uint8 blurs are used (`warpAffine` and `putText` differ between CPUs and versions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.types import BoolArray, Float32Array, Float64Array, UInt8Array

UNITS = 256
"""Width and height of a picture in units."""


@dataclass(frozen=True, slots=True, eq=False)
class SamplePart:
    """A picture of one part, and where it is defective.

    Attributes:
        picture: uint8 (size, size, 3), BGR.
        mask: bool (size, size), True where the defect changed the picture; all False for a good part.
        kind: Name of the kind of part.
        defect: Name of the defect; None for a good part.
        seed: The seed it was rendered from. The good part of the same seed is the same part without the defect.
    """

    picture: UInt8Array
    mask: BoolArray
    kind: str
    defect: str | None
    seed: int


@dataclass(slots=True, eq=False)
class Layer:
    """A part drawn flat, before it is posed and photographed. Defects replace its planes, which parts may share.

    Attributes:
        bgr: uint8 (h, w, 3).
        alpha: uint8 (h, w): 255 where there is material, 0 where the background shows.
        bare: uint8 (h, w, 3): the part before it was finished: without holes, print or weft.
        scale: Pixels per unit.
    """

    bgr: UInt8Array
    alpha: UInt8Array
    bare: UInt8Array
    scale: float

    def fixed_point(self, points: Float64Array) -> npt.NDArray[np.int32]:
        """Points in units as OpenCV draws them with `shift=4`: sixteenths of a pixel.

        Args:
            points: float64 (n, 2).
        """
        height, width = self.alpha.shape
        centre = np.array([width - 1, height - 1]) / 2
        return np.rint((points * self.scale + centre) * 16).astype(np.int32)

    def polygon(self, points: Float64Array) -> UInt8Array:
        """Coverage of a polygon: uint8 (h, w), 255 inside, anti-aliased; `points` float64 (n, 2) in units."""
        coverage = np.zeros(self.alpha.shape, np.uint8)
        cv2.fillPoly(coverage, [self.fixed_point(points)], 255, cv2.LINE_AA, 4)
        return coverage

    def soften(self, coverage: UInt8Array, sigma: float) -> UInt8Array:
        """Blur a coverage by `sigma` units."""
        return np.asarray(cv2.GaussianBlur(coverage, (0, 0), sigma * self.scale), np.uint8)

    def blend(self, coverage: UInt8Array, target: npt.ArrayLike, opacity: float = 1.0) -> None:
        """Cover the part with a colour (3,) or a picture (h, w, 3), both BGR, 0 to 255."""
        colours = np.asarray(target, np.float32)
        self._mix(coverage, lambda _there, window: np.broadcast_to(colours, self.bgr.shape)[window], opacity)

    def shade(self, coverage: UInt8Array, gain: npt.ArrayLike) -> None:
        """Multiply the part's colours by a gain: a number, one per channel (3,), or one per pixel (h, w, 1 or 3)."""
        gains = np.asarray(gain, np.float32)
        self._mix(coverage, lambda there, window: there * np.broadcast_to(gains, self.bgr.shape)[window], 1.0)

    def cut_away(self, coverage: UInt8Array) -> None:
        """Take material away, so that the background shows."""
        self.alpha = np.minimum(self.alpha, 255 - coverage)

    def _mix(
        self,
        coverage: UInt8Array,
        result_of: Callable[[Float32Array, tuple[slice, slice]], Float32Array],
        opacity: float,
    ) -> None:
        """Go from the colours there towards a result, as far as coverage and opacity say; only where there is any."""
        left, top, width, height = cv2.boundingRect(coverage)
        window = (slice(top, top + height), slice(left, left + width))
        there = self.bgr[window].astype(np.float32)
        weight = coverage[window][..., None] * np.float32(opacity / 255)
        mixed = there + (result_of(there, window) - there) * weight
        self.bgr = self.bgr.copy()
        self.bgr[window] = rounded(mixed)


Painter: TypeAlias = Callable[[Layer, np.random.Generator], UInt8Array]
"""Damages a layer and returns the coverage of the damage: uint8 (h, w), 0 where the layer was left alone."""


@dataclass(frozen=True, slots=True)
class PoseRange:
    """How far parts lie from the middle of the picture: each is drawn evenly from -limit to +limit."""

    rotation_deg: float
    shift: float
    """In units."""
    zoom: float
    """As a fraction."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How one part lies under the camera."""

    rotation_rad: float
    """Counter-clockwise as seen in the picture."""
    shift: tuple[float, float]
    """In units, to the right and down."""
    zoom: float


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sample part.

    Attributes:
        draw: (size in pixels, random numbers, pose) -> a good part.
        background: (size in pixels, random numbers, pose) -> what it lies on, uint8 (size, size, 3).
        defects: Name of the defect to what paints it.
        pose: How its pose varies.
    """

    draw: Callable[[int, np.random.Generator, Pose], Layer]
    background: Callable[[int, np.random.Generator, Pose], UInt8Array]
    defects: Mapping[str, Painter]
    pose: PoseRange


def smooth_noise(shape: tuple[int, int], sigma: float | tuple[float, float], rng: np.random.Generator) -> Float64Array:
    """Noise with a standard deviation of 1.

    Args:
        shape: Height and width in pixels.
        sigma: How smooth, in pixels; one number, or (x, y).
        rng: Random numbers.

    Returns:
        float64 (height, width).
    """
    sigma_x, sigma_y = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    noise = np.asarray(cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), sigma_x, sigmaY=sigma_y), np.float64)
    return np.asarray((noise - noise.mean()) / noise.std())


def grid(n_pixels: int, scale: float) -> tuple[Float64Array, Float64Array]:
    """The x and y of every pixel of a square layer, in units from its centre: float64 (1, n), (n, 1)."""
    axis: Float64Array = (np.arange(n_pixels, dtype=np.float64) - (n_pixels - 1) / 2) / scale
    return axis[None, :], axis[:, None]


def inside(distance: Float64Array, scale: float) -> Float64Array:
    """Anti-aliased coverage, 0 to 1, of the pixels whose signed distance (units) from an edge is negative."""
    return np.clip(0.5 - distance * scale, 0.0, 1.0)


def random_crop(plane: npt.NDArray[np.uint8], n_pixels: int, rng: np.random.Generator) -> UInt8Array:
    """A square window at a random place of a picture (h, w) or (h, w, 3), as a view."""
    top = int(rng.integers(0, plane.shape[0] - n_pixels + 1))
    left = int(rng.integers(0, plane.shape[1] - n_pixels + 1))
    return plane[top : top + n_pixels, left : left + n_pixels]


def rounded(values: Float64Array | Float32Array) -> UInt8Array:
    """Grey levels as uint8, rounded and kept between 0 and 255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def weighted(bgr: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """A picture (h, w, 3) multiplied by alpha (h, w) / 255."""
    return np.asarray(cv2.multiply(bgr, cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR), scale=1 / 255), np.uint8)


def laid_over(below: UInt8Array, above: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """A picture (h, w, 3) with another laid over it that is already multiplied by its alpha (h, w)."""
    return np.asarray(cv2.add(weighted(below, 255 - alpha), above), np.uint8)


def tinted(grey: UInt8Array, colour: tuple[float, float, float]) -> UInt8Array:
    """A grey picture (h, w) in a colour: BGR (h, w, 3), white becoming 255 times `colour`."""
    return np.asarray(cv2.LUT(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), _tint_table(colour)), np.uint8)


@lru_cache(maxsize=16)
def _tint_table(colour: tuple[float, float, float]) -> UInt8Array:
    return rounded(np.arange(256.0)[None, :, None] * np.array(colour))
