"""Anomaly maps drawn over pictures, for the report, `inspect --heatmaps`, the archive and the live view.

All pictures have the same colour scale, which depends on the threshold alone, so that a colour means the same value in
every picture. Nothing is drawn below half of the threshold. From there to the threshold a map is blue, the stronger the
closer it is: what the model saw and did not call a defect. Above the threshold it is yellow to red; the step between
blue and yellow is one that colour-blind people see, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edgerd.errors import InputError
from edgerd.evaluation.labels import decimals_of, draw_regions, line_px
from edgerd.types import BoolArray, Box, DefectRegion, Float32Array, UInt8Array

_THRESHOLD_LEVEL = 127
"""Maps are drawn as levels from 0 to 255; this is the threshold, and what is above it has a higher one."""
_STOPS = np.array([0.5, 0.75, 1.0, (_THRESHOLD_LEVEL + 1) / _THRESHOLD_LEVEL, 1.25, 1.6, 2.0])
"""Multiples of the threshold at which the colours and opacities below hold."""
_RGB = np.array(
    [(90, 170, 255), (60, 140, 255), (20, 90, 255), (255, 225, 40), (255, 150, 20), (235, 40, 40), (150, 0, 60)]
)
_OPACITY = np.array([0.0, 0.12, 0.5, 0.55, 0.6, 0.65, 0.75])

_LEVELS = np.arange(256) / _THRESHOLD_LEVEL
_OPACITY_OF_LEVEL = np.interp(_LEVELS, _STOPS, _OPACITY)
_BGR_OF_LEVEL = np.stack([np.interp(_LEVELS, _STOPS, _RGB[:, channel]) for channel in (2, 1, 0)], axis=-1)
_ADDED = np.rint(_BGR_OF_LEVEL * _OPACITY_OF_LEVEL[:, None]).astype(np.uint8)[:, None]
_KEPT = np.rint(255 * (1 - _OPACITY_OF_LEVEL)).astype(np.uint8)
"""Colouring a pixel is `picture * kept / 255 + added`, which takes a quarter of the time of blending with floats."""
_FIRST_VISIBLE = int(np.argmax(_OPACITY_OF_LEVEL > 0))
_STRIP_BYTES = 1 << 16
"""Pictures are coloured in strips that fit into a processor's cache."""
_WHITE, _BLACK, _CYAN = (255, 255, 255), (0, 0, 0), (255, 210, 60)


def overlay(
    bgr: UInt8Array,
    anomaly_map: Float32Array,
    threshold: float,
    *,
    tiles: Sequence[Box] = (),
    regions: Sequence[DefectRegion] = (),
) -> UInt8Array:
    """Draw an anomaly map over its picture, and boxes around `regions`, or without those an outline at the threshold.

    Args:
        bgr: uint8 (h, w, 3), the frame or picture as it came; not changed.
        anomaly_map: float32 (T, H, W), or (H, W) for one tile.
        threshold: The threshold of the bundle, which the colours depend on.
        tiles: Where the T tiles lie in the picture (`edgerd.data.preprocess.tile_boxes`); by default one covers it all.
        regions: Regions whose boxes are drawn with their peak values, in pixels of the picture.

    Returns:
        uint8 (h, w, 3), BGR.

    Raises:
        InputError: There is not one map per tile.
    """
    levels = heat_levels(bgr.shape[:2], anomaly_map, threshold, tiles)
    painted = coloured(bgr, levels)
    if regions:
        draw_regions(painted, regions, decimals=decimals_of(threshold))
    else:
        outline_heat(painted, levels)
    return painted


def heat_levels(
    size: tuple[int, ...], anomaly_map: Float32Array, threshold: float, tiles: Sequence[Box] = ()
) -> UInt8Array:
    """A map at the size of its picture, in steps of the colour scale.

    Args:
        size: Height and width of the picture.
        anomaly_map: float32 (T, H, W), or (H, W) for one tile.
        threshold: The threshold.
        tiles: Where the T tiles lie in the picture; by default one covers it all.

    Returns:
        uint8 (h, w): `level_of(value / threshold)`; more than `level_of(1)` is above the threshold.

    Raises:
        InputError: There is not one map per tile.
    """
    height, width = size
    maps = anomaly_map.reshape(-1, *anomaly_map.shape[-2:])
    boxes = tiles or (Box(0, 0, width, height),)
    if len(maps) != len(boxes):
        raise InputError(f"There are {len(maps)} maps for {len(boxes)} tiles.")
    scaled = np.ceil(maps / np.float32(max(threshold, 1e-6)) * _THRESHOLD_LEVEL).clip(0, 255).astype(np.uint8)
    levels = np.zeros((height, width), np.uint8)
    for tile_levels, box in zip(scaled, boxes, strict=True):
        window = levels[_window((box.x, box.y, box.width, box.height))]
        resized = cv2.resize(tile_levels, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
        np.maximum(window, resized, out=window)
    return levels


def level_of(multiple: float) -> int:
    """The level of a multiple of the threshold, 0 to 255; 255 is twice the threshold, and all above it."""
    return min(255, max(0, int(np.ceil(multiple * _THRESHOLD_LEVEL))))


def coloured(bgr: UInt8Array, levels: UInt8Array) -> UInt8Array:
    """A picture in the colours of its map.

    Args:
        bgr: uint8 (h, w, 3); not changed.
        levels: uint8 (h, w), of `heat_levels`.

    Returns:
        uint8 (h, w, 3), BGR.
    """
    painted = np.empty_like(bgr)
    n_rows = max(1, _STRIP_BYTES // (3 * bgr.shape[1]))
    for first in range(0, len(bgr), n_rows):
        strip = slice(first, first + n_rows)
        painted[strip] = (
            bgr[strip] if levels[strip].max() < _FIRST_VISIBLE else _coloured_strip(bgr[strip], levels[strip])
        )
    return painted


def outline_heat(picture: UInt8Array, levels: UInt8Array) -> None:
    """Draw a line around what is above the threshold, in place."""
    _outline(picture, (levels > _THRESHOLD_LEVEL).view(np.uint8), _WHITE, line_px(picture))


def mask_overlay(bgr: UInt8Array, mask: BoolArray) -> UInt8Array:
    """Draw a ground-truth mask over its picture: the rest dimmed, the defect outlined.

    Args:
        bgr: uint8 (h, w, 3); not changed.
        mask: bool, any size; nearest-resized to the picture.

    Returns:
        uint8 (h, w, 3), BGR.
    """
    height, width = bgr.shape[:2]
    full_size = np.asarray(cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    painted = np.where(full_size[..., None] > 0, bgr, bgr // 3).astype(np.uint8)
    _outline(painted, full_size, _CYAN, line_px(painted) + 1)
    return painted


def colour_scale() -> list[tuple[float, tuple[int, int, int], float]]:
    """The colour scale for a legend: multiples of the threshold in ascending order, RGB 0 to 255, opacity 0 to 1."""
    return [
        (multiple, (red, green, blue), opacity)
        for multiple, (red, green, blue), opacity in zip(_STOPS.tolist(), _RGB.tolist(), _OPACITY.tolist(), strict=True)
    ]


def _window(box: Sequence[int]) -> tuple[slice, slice]:
    x, y, width, height = box
    return slice(y, y + height), slice(x, x + width)


def _coloured_strip(bgr: UInt8Array, levels: UInt8Array) -> UInt8Array:
    kept = cv2.cvtColor(cv2.LUT(levels, _KEPT), cv2.COLOR_GRAY2BGR)
    kept = cv2.multiply(bgr, kept, kept, 1 / 255)
    return np.asarray(cv2.add(kept, cv2.applyColorMap(levels, _ADDED)), np.uint8)


def _outline(picture: UInt8Array, area: UInt8Array, colour: tuple[int, int, int], thickness: int) -> None:
    """Draw a line that shows on light and dark ground."""
    if not cv2.countNonZero(area):
        return
    contours, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _BLACK, thickness + 1, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, colour, thickness, cv2.LINE_AA)
