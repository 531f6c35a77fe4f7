"""What is not worth judging although a frame came: the picture as a whole is wrong, frozen, or of another size.

Each guard gives a reason for NO_DECISION, or "" where all is well.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgerd.bundle.manifest import PictureLimits
from edgerd.data.prepared import grey_level_statistics
from edgerd.types import Frame, UInt8Array

BLACK_LEVEL = 8.0
"""A mean grey level below this, and below that of good pictures, is a covered lens or no light."""
FROZEN_AFTER_FRAMES = 10
FROZEN_AFTER_S = 2.0
"""Both must have passed: a stream of a still scene may repeat a frame until its next key frame."""
SAMPLED_ROWS = 16
"""Whole ones: every cache line that is touched costs its time, on each frame of a live camera."""
_EVERY_ROW = 8
_GREY_WEIGHTS = (0.114, 0.587, 0.299)
"""Weights of blue, green and red in a grey level, as OpenCV has them."""
_ROUNDING = 1.0
"""Grey levels; that of each pixel is rounded, so that their mean is off by half of one at most."""


def exposure_reason(tiles: UInt8Array, limits: PictureLimits) -> str:
    """Whether a prepared frame is exposed as good pictures are.

    Args:
        tiles: uint8 (tiles, H, W, 3), BGR, without padding (`edgerd.data.aspect.without_padding`).
        limits: Of the bundle's good pictures.
    """
    if _is_clearly_well_exposed(tiles, limits):
        return ""
    mean, contrast = grey_level_statistics(tiles)
    if mean < min(BLACK_LEVEL, limits.mean_low):
        return "black frame"
    if not limits.mean_low <= mean <= limits.mean_high:
        what = "dark" if mean < limits.mean_low else "bright"
        return f"too {what}: mean grey level {mean:.0f}, good ones have {limits.mean_low:.0f} to {limits.mean_high:.0f}"
    if contrast < limits.contrast_low:
        return f"no contrast: grey levels vary by {contrast:.1f}, in good ones by {limits.contrast_low:.1f} at least"
    return ""


def _is_clearly_well_exposed(tiles: UInt8Array, limits: PictureLimits) -> bool:
    """True for nearly all frames, in half the time that their statistics take; never where those would not say so.

    The mean is that of the channels. The contrast of an eighth of the rows gives a bound: pixels that are added,
    whatever their level, make the sum of the squared deviations no smaller.
    """
    rows = tiles.reshape(-1, *tiles.shape[-2:])
    channels = cv2.sumElems(rows)[:3]
    mean = sum(map(math.prod, zip(_GREY_WEIGHTS, channels, strict=True))) / (rows.size / 3)
    if not limits.mean_low + _ROUNDING <= mean <= limits.mean_high - _ROUNDING:
        return False
    some = rows[::_EVERY_ROW]
    _, contrast = grey_level_statistics(some)
    return contrast * math.sqrt(len(some) / len(rows)) > limits.contrast_low


class FrozenGuard:
    """For live cameras: the same bytes again and again, which a sensor with its noise never gives.

    Keeps nothing of a frame but copies, because a camera may write the next one to the same memory: a sample of its
    rows, which tells real frames apart, and the whole only of one whose sample is that of the frame before.
    """

    def __init__(self, after_frames: int = FROZEN_AFTER_FRAMES, after_s: float = FROZEN_AFTER_S) -> None:
        self._after_frames = after_frames
        self._after_s = after_s
        self._sample: UInt8Array | None = None
        self._whole: UInt8Array | None = None
        self._since_s = 0.0
        self._n_same = 0

    def reason(self, frame: Frame) -> str:
        """Take the next frame of the camera."""
        if not self._is_same(frame.data):
            self._sample, self._whole = _sampled(frame.data).copy(), None
            self._since_s = frame.captured_monotonic_s
            self._n_same = 1
            return ""
        self._n_same += 1
        same_s = frame.captured_monotonic_s - self._since_s
        if self._n_same < self._after_frames or same_s < self._after_s:
            return ""
        return f"frozen: the same picture for {same_s:.0f} s"

    def _is_same(self, data: UInt8Array) -> bool:
        if self._sample is None or not np.array_equal(_sampled(data), self._sample):
            return False
        if self._whole is None:
            self._whole = data.copy()
            return True
        return np.array_equal(data, self._whole)


class SizeGuard:
    """For cameras and videos: a frame of another size than the first means that somebody changed something.

    It could be resized and judged, but the part would have another scale, and the score would mean nothing.
    """

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def reason(self, frame: Frame) -> str:
        """Take the next frame of the camera."""
        size = frame_size(frame)
        self._size = self._size or size
        if size == self._size:
            return ""
        return f"frame size changed: {size[0]}x{size[1]}, the run began with {self._size[0]}x{self._size[1]}"


def frame_size(frame: Frame) -> tuple[int, int]:
    """Width and height of a frame in pixels."""
    height, width = frame.pixel_format.size(frame.data.shape)
    return width, height


def _sampled(data: UInt8Array) -> UInt8Array:
    return data[:: max(1, len(data) // SAMPLED_ROWS)]
