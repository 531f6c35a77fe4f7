"""Text in pictures: readable on any ground, at its size exactly, and where nothing else is.

OpenCV 5 draws text with a TrueType font, in which bold text is wider than regular text. So a white text over a thicker
black one, the usual way to make text readable on any ground, becomes a smear there. Text here stands on a plate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np

from edgerd.types import Box, DefectRegion, UInt8Array

Colour = tuple[int, int, int]
"""B, G, R."""

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
PLATE: Colour = (32, 28, 24)
"""What text stands on."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST_PX = 7
"""Height of the smallest digits that can be read."""
_DESCENT = 0.35
"""How far letters reach below the line, in heights of a digit."""


def line_px(picture: UInt8Array) -> int:
    """The thickness of a line that looks the same in small and large pictures, in pixels."""
    shorter_side: int = min(picture.shape[:2])
    return max(1, round(shorter_side / 400))


def digit_px(picture: UInt8Array) -> int:
    """The height of digits that can be read when the whole picture is looked at, in pixels."""
    shorter_side: int = min(picture.shape[:2])
    return max(_SMALLEST_PX, round(shorter_side / 40))


def decimals_of(threshold: float) -> int:
    """How many decimals scores have that are compared with this threshold, so that it has three digits itself."""
    return min(9, max(0, 2 - math.floor(math.log10(threshold)))) if threshold > 0 else 2


@lru_cache(maxsize=128)
def ink(text: str, height_px: int) -> UInt8Array:
    """How a line of text looks.

    Args:
        text: ASCII; other letters are drawn as `?` by OpenCV 4.
        height_px: Height of a digit.

    Returns:
        uint8 (h, w): 0 for ground, 255 for ink. As wide as the ink; `height_px` above the line, and room for the
        letters that reach below it. Not to be written to: it is kept for the next call.
    """
    scale, thickness = height_px / _digit_height(), max(1, round(height_px / 9))
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    # OpenCV 5 measures a little less than it draws.
    canvas = np.zeros((3 * height_px, 2 * width + 4 * height_px), np.uint8)
    cv2.putText(canvas, text, (height_px, 2 * height_px), _FONT, scale, 255, thickness, cv2.LINE_AA)
    columns = np.flatnonzero(canvas.any(axis=0))
    left, right = (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, 1)
    drawn: UInt8Array = canvas[
        height_px - thickness // 2 : 2 * height_px + round(_DESCENT * height_px), left:right
    ].copy()
    drawn.setflags(write=False)
    return drawn


def draw_ink(picture: UInt8Array, drawn: UInt8Array, x: int, y: int, colour: Colour) -> None:
    """Put text (`ink`) into a picture, in place.

    Args:
        picture: uint8 (h, w, 3), BGR.
        drawn: The text.
        x: Where its left edge comes; it must fit into the picture.
        y: Where its top comes.
        colour: Its colour.
    """
    height, width = drawn.shape
    window = picture[y : y + height, x : x + width]
    share = drawn[..., None] / np.float32(255)
    window[:] = np.rint(window * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)


def fill(picture: UInt8Array, box: Box, colour: Colour) -> None:
    """Fill a box of a picture, in place."""
    picture[box.y : box.y + box.height, box.x : box.x + box.width] = colour


def shared_px(one: Box, other: Box) -> int:
    """How many pixels two boxes share."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0, width) * max(0, height)


def draw_regions(
    picture: UInt8Array, regions: Sequence[DefectRegion], *, decimals: int, keep_clear: Sequence[Box] = ()
) -> None:
    """Draw boxes around regions, with their peak values beside them, in place.

    A value stands where it covers no region, no other value and nothing of `keep_clear`; where there is no such place,
    it is left out. Values of the regions that come first are placed first.

    Args:
        picture: uint8 (h, w, 3), BGR.
        regions: The regions, in pixels of the picture.
        decimals: How many decimals the values have (`decimals_of`).
        keep_clear: Where no value may stand.
    """
    for region in regions:
        _draw_frame(picture, region.box)
    height_px = digit_px(picture)
    margin = max(2, height_px // 4)
    values = [ink(f"{region.peak:.{decimals}f}", height_px) for region in regions]
    sizes = [(value.shape[1] + 2 * margin, height_px + 2 * margin) for value in values]
    boxes = [region.box for region in regions]
    places = label_places(boxes, sizes, picture.shape, gap=2 * line_px(picture), keep_clear=keep_clear)
    for value, place in zip(values, places, strict=True):
        if place is not None:
            fill(picture, place, PLATE)
            draw_ink(picture, value[: height_px + margin], place.x + margin, place.y + margin, WHITE)


def label_places(
    boxes: Sequence[Box],
    sizes: Sequence[tuple[int, int]],
    shape: tuple[int, ...],
    *,
    gap: int,
    keep_clear: Sequence[Box] = (),
) -> list[Box | None]:
    """Where labels stand beside their boxes: inside the picture, and where nothing else is.

    Args:
        boxes: The boxes; those that come first choose first.
        sizes: Width and height of the label of each.
        shape: Of the picture: height, width, and whatever follows.
        gap: Pixels between a box and its label.
        keep_clear: Where no label may stand.

    Returns:
        A place per label; None where there is no room for it.
    """
    taken = [*keep_clear, *boxes]
    places: list[Box | None] = []
    for box, size in zip(boxes, sizes, strict=True):
        place = _free(_beside(box, size, gap), shape, taken)
        places.append(place)
        if place is not None:
            taken.append(place)
    return places


def _draw_frame(picture: UInt8Array, box: Box) -> None:
    """Draw a white line along the edge of a box, and a black one around it."""
    line = line_px(picture)
    for outward, colour in ((line, BLACK), (0, WHITE)):
        left, top = box.x - outward, box.y - outward
        right, bottom = box.x + box.width - 1 + outward, box.y + box.height - 1 + outward
        cv2.rectangle(picture, (left, top), (right, bottom), colour, line)


def _beside(box: Box, size: tuple[int, int], gap: int) -> Iterable[Box]:
    """Places for a label of this width and height around a box: above, below, right, left."""
    width, height = size
    right, bottom = box.x + box.width, box.y + box.height
    for x in (box.x, right - width):
        yield Box(x, box.y - gap - height, width, height)
    for x in (box.x, right - width):
        yield Box(x, bottom + gap, width, height)
    for y in (box.y, bottom - height):
        yield Box(right + gap, y, width, height)
        yield Box(box.x - gap - width, y, width, height)


def _free(places: Iterable[Box], shape: tuple[int, ...], taken: Sequence[Box]) -> Box | None:
    for place in places:
        is_inside = place.x >= 0 <= place.y and place.x + place.width <= shape[1] and place.y + place.height <= shape[0]
        if is_inside and not any(shared_px(place, other) for other in taken):
            return place
    return None


@lru_cache(maxsize=1)
def _digit_height() -> float:
    """How high a digit is at scale 1, in pixels, with the font of the OpenCV that is installed."""
    canvas = np.zeros((400, 400), np.uint8)
    cv2.putText(canvas, "0", (20, 300), _FONT, 8, 255, 1)
    rows = np.flatnonzero(canvas.any(axis=1))
    return float(rows[-1] - rows[0] + 1) / 8
