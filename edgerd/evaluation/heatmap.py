"""Anomaly maps drawn over pictures, for the report, `inspect --heatmaps` and the live view.

All pictures have the same colour scale, which depends on the threshold alone: nothing is drawn below 0.85 of it, colour
begins on the way up to it, and is strongest from twice the threshold on. So good parts stay without colour, although
distances to prototypes are never far below the threshold, and a colour means the same value in every picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edgerd.errors import InputError
from edgerd.types import BoolArray, Box, DefectRegion, Float32Array, UInt8Array

_STOPS = np.array([0.85, 0.93, 1.0, 1.4, 2.0])
"""Multiples of the threshold at which the colours and opacities below hold."""
_RGB = np.array([(255, 240, 150), (255, 214, 70), (255, 150, 30), (240, 40, 45), (190, 0, 110)])
_OPACITY = np.array([0.0, 0.25, 0.5, 0.62, 0.75])

_LEVELS = np.arange(256) / 127
_BGR_OF_LEVEL = np.stack([np.interp(_LEVELS, _STOPS, _RGB[:, channel]) for channel in (2, 1, 0)], axis=-1)
_COLOUR_MAP = _BGR_OF_LEVEL.astype(np.uint8)[:, None]
_OPACITY_OF_LEVEL = np.interp(_LEVELS, _STOPS, _OPACITY).astype(np.float32)
_FIRST_VISIBLE = int(np.argmax(_OPACITY_OF_LEVEL > 0))
_ABOVE_THRESHOLD = 128
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
    levels = _levels(bgr.shape[:2], anomaly_map, threshold, tiles)
    painted: UInt8Array = bgr.copy()
    hot = cv2.boundingRect((levels >= _FIRST_VISIBLE).view(np.uint8))  # most of a picture needs no colour
    _blend(painted[_window(hot)], levels[_window(hot)])
    if not regions:
        _outline(painted, (levels >= _ABOVE_THRESHOLD).view(np.uint8), _WHITE, _line_px(painted))
    for region in regions:
        _draw_box(painted, region)
    return painted


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
    _outline(painted, full_size, _CYAN, _line_px(painted) + 1)
    return painted


def colour_scale() -> list[tuple[float, tuple[int, int, int], float]]:
    """The colour scale for a legend: multiples of the threshold in ascending order, RGB 0 to 255, opacity 0 to 1."""
    return [
        (multiple, (red, green, blue), opacity)
        for multiple, (red, green, blue), opacity in zip(_STOPS.tolist(), _RGB.tolist(), _OPACITY.tolist(), strict=True)
    ]


def _levels(size: tuple[int, ...], anomaly_map: Float32Array, threshold: float, tiles: Sequence[Box]) -> UInt8Array:
    """The map at the picture's size as uint8: 254 is twice the threshold, and 128 or more is above the threshold."""
    height, width = size
    maps = anomaly_map.reshape(-1, *anomaly_map.shape[-2:])
    boxes = tiles or (Box(0, 0, width, height),)
    if len(maps) != len(boxes):
        raise InputError(f"There are {len(maps)} maps for {len(boxes)} tiles.")
    scaled = np.ceil(maps / np.float32(max(threshold, 1e-6)) * 127).clip(0, 255).astype(np.uint8)
    levels = np.zeros((height, width), np.uint8)
    for tile_levels, box in zip(scaled, boxes, strict=True):
        window = levels[_window((box.x, box.y, box.width, box.height))]
        resized = cv2.resize(tile_levels, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
        np.maximum(window, resized, out=window)
    return levels


def _window(box: Sequence[int]) -> tuple[slice, slice]:
    x, y, width, height = box
    return slice(y, y + height), slice(x, x + width)


def _blend(window: UInt8Array, levels: UInt8Array) -> None:
    """Colour a window of a picture in place; `levels` has the window's size."""
    if not window.size:
        return
    opacity = cv2.LUT(levels, _OPACITY_OF_LEVEL)
    window[:] = cv2.blendLinear(cv2.applyColorMap(levels, _COLOUR_MAP), window, opacity, 1 - opacity)


def _outline(picture: UInt8Array, area: UInt8Array, colour: tuple[int, int, int], thickness: int) -> None:
    """Draw a line that shows on light and dark ground."""
    contours, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _BLACK, thickness + 1, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, colour, thickness, cv2.LINE_AA)


def _draw_box(picture: UInt8Array, region: DefectRegion) -> None:
    line, box = _line_px(picture), region.box
    corners = (box.x, box.y), (box.x + box.width - 1, box.y + box.height - 1)
    cv2.rectangle(picture, *corners, _BLACK, line + 2)
    cv2.rectangle(picture, *corners, _WHITE, line)
    text, font, scale = f"{region.peak:.3g}", cv2.FONT_HERSHEY_SIMPLEX, 0.45 * line
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, line)
    x = min(box.x, max(0, picture.shape[1] - text_width))
    y = box.y - 3 * line if box.y >= text_height + 6 * line else box.y + box.height + text_height + 3 * line
    cv2.putText(picture, text, (x, y), font, scale, _BLACK, line + 2, cv2.LINE_AA)
    cv2.putText(picture, text, (x, y), font, scale, _WHITE, line, cv2.LINE_AA)


def _line_px(picture: UInt8Array) -> int:
    """A line's thickness that looks the same in small and large pictures."""
    shorter_side: int = min(picture.shape[:2])
    return max(1, round(shorter_side / 400))
