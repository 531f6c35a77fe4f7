"""A judged picture as it is shown to people: map and regions over it, and a caption that says how it was judged.

The caption has verdict and score, and below them the colour scale: the threshold is in its middle, a mark shows where
the score lies. In a single picture it stands in a corner where it covers no region and nothing that is nearly a defect,
if there is one. In a video it stays in one corner, since nobody can read a verdict that jumps about; the boxes of
regions are drawn over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgerd.evaluation.heatmap import colour_scale, coloured, heat_levels, level_of, outline_heat
from edgerd.evaluation.labels import (
    BLACK,
    PLATE,
    WHITE,
    Colour,
    decimals_of,
    digit_px,
    draw_ink,
    draw_regions,
    fill,
    ink,
    shared_px,
)
from edgerd.types import Box, DefectRegion, Inspection, UInt8Array, Verdict

_VERDICTS: dict[Verdict, tuple[str, Colour, Colour]] = {
    Verdict.OK: ("OK", (70, 120, 0), WHITE),
    Verdict.NG: ("NG", (30, 20, 200), WHITE),
    Verdict.NO_DECISION: ("NO DECISION", (0, 180, 245), BLACK),
}
"""What is written, on which ground, in which colour."""
_SOFT: Colour = (205, 205, 205)
_GROUND_OF_SCALE = 150
"""The scale's colours are as transparent as in the picture; this grey lies below them."""
_NEARLY_A_DEFECT = 0.9
"""From this multiple of the threshold on, a spot is not to be covered: it may be a defect that was missed."""
_LARGEST_SHARE = 0.3
"""A caption that would cover more than this share of a map says less."""


def captioned(
    bgr: UInt8Array, inspection: Inspection, *, tiles: Sequence[Box] = (), one_place: bool = False
) -> UInt8Array:
    """Draw what was found in a picture, and how it was judged.

    Args:
        bgr: uint8 (h, w, 3), the frame or picture that was judged; not changed.
        inspection: What was found. Without a map, the caption alone is drawn. Its regions are in pixels of `bgr`.
        tiles: Where the tiles of its map lie in the picture (`edgerd.data.preprocess.tile_boxes`); by default one tile
            covers it all.
        one_place: Put the caption at the top left, whatever lies there: for pictures that follow each other in a video.

    Returns:
        uint8 (h, w, 3), BGR. In a picture that is too small for any text, the map and the regions are all there is.

    Raises:
        InputError: There is not one map per tile.
    """
    levels: UInt8Array | None = None
    if inspection.anomaly_map is None:
        painted: UInt8Array = bgr.copy()
    else:
        levels = heat_levels(bgr.shape[:2], inspection.anomaly_map, inspection.threshold, tiles)
        painted = coloured(bgr, levels)
        if not inspection.regions:
            outline_heat(painted, levels)
    caption = _fitting(painted, inspection)
    places = []
    if caption:
        corners = _corners(caption.size, painted.shape)
        place = corners[0] if one_place else _clearest(corners, inspection.regions, levels)
        caption.draw(painted, place)
        places = [place]
    draw_regions(painted, inspection.regions, decimals=decimals_of(inspection.threshold), keep_clear=places)
    return painted


@dataclass(frozen=True, eq=False)
class _Caption:
    """A caption before it is drawn.

    Attributes:
        headline: The verdict and the score, drawn large.
        lines: What stands below the scale.
        verdict: Gives the colours.
        multiple: The score as a multiple of the threshold; None for a caption without a scale.
        height_px: Height of a digit.
    """

    headline: str
    lines: tuple[str, ...]
    verdict: Verdict
    multiple: float | None
    height_px: int

    @property
    def _margin(self) -> int:
        return max(2, self.height_px // 3)

    @property
    def _large_px(self) -> int:
        """The height of the headline's digits: larger only where small ones can be read well."""
        return self.height_px if self.height_px < 9 else round(1.3 * self.height_px)

    @property
    def _heights(self) -> tuple[int, int, int]:
        """Heights of the headline, the scale and each line, px, margins included, but for one more below the last."""
        scale = 0 if self.multiple is None else self.height_px + self._margin
        return self._large_px + 2 * self._margin, scale, round(1.25 * self.height_px) + self._margin

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        texts = [ink(self.headline, self._large_px), *(ink(line, self.height_px) for line in self.lines)]
        headline, scale, line = self._heights
        height = headline + scale + line * len(self.lines)
        if scale or self.lines:
            height += self._margin
        return max(text.shape[1] for text in texts) + 2 * self._margin, height

    def draw(self, picture: UInt8Array, place: Box) -> None:
        """Draw it, in place."""
        _, ground, letters = _VERDICTS[self.verdict]
        margin, (headline, scale, line) = self._margin, self._heights
        fill(picture, place, PLATE)
        fill(picture, Box(place.x, place.y, place.width, headline), ground)
        drawn = ink(self.headline, self._large_px)[: self._large_px + margin]
        draw_ink(picture, drawn, place.x + margin, place.y + margin, letters)
        y = place.y + headline + margin
        if self.multiple is not None:
            _draw_scale(picture, Box(place.x + margin, y, place.width - 2 * margin, self.height_px), self.multiple)
        y += scale
        for text in self.lines:
            drawn = ink(text, self.height_px)
            x = place.x + (place.width - drawn.shape[1]) // 2 if scale else place.x + margin
            draw_ink(picture, drawn, x, y, _SOFT)
            y += line


def _fitting(picture: UInt8Array, inspection: Inspection) -> _Caption | None:
    """The caption that says most of those that fit into the picture; None where none does."""
    height, width = picture.shape[:2]
    room = width * height * (1 if inspection.anomaly_map is None else _LARGEST_SHARE)
    for caption in _captions(inspection, digit_px(picture), width):
        across, down = caption.size
        if across <= width and down <= height and across * down <= room:
            return caption
    return None


def _captions(inspection: Inspection, height_px: int, width: int) -> list[_Caption]:
    """Captions for an inspection, the most telling first."""
    word, _, _ = _VERDICTS[inspection.verdict]
    if inspection.score is None:
        lines = _wrapped(inspection.reason, height_px, max(width // 2, min(width - height_px, 12 * height_px)))
        told = _Caption(word, lines, inspection.verdict, None, height_px)
        return [told, _Caption(word, (), inspection.verdict, None, height_px)]
    score, threshold = _told_apart(inspection.score, inspection.threshold)
    multiple = inspection.score / max(inspection.threshold, 1e-6)
    headline = f"{word} {score}"
    return [
        _Caption(headline, lines, inspection.verdict, multiple, height_px)
        for lines in ((f"threshold {threshold}",), (threshold,), ())
    ] + [_Caption(text, (), inspection.verdict, None, height_px) for text in (headline, word)]


def _told_apart(score: float, threshold: float) -> tuple[str, str]:
    """Score and threshold with equally many decimals: so many that the two differ, up to four more than usual."""
    decimals = decimals_of(threshold)
    texts = [(f"{score:.{more}f}", f"{threshold:.{more}f}") for more in range(decimals, decimals + 5)]
    return next((two for two in texts if two[0] != two[1]), texts[0])


def _wrapped(text: str, height_px: int, width: int) -> tuple[str, ...]:
    """Lines of a text, as wide as `width` where its words allow it."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and ink(longer, height_px).shape[1] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def _corners(size: tuple[int, int], shape: tuple[int, ...]) -> list[Box]:
    """The four corners of a picture as places for a caption, the top left one first."""
    (width, height), (down, across) = size, shape[:2]
    return [Box(x, y, width, height) for y in (0, down - height) for x in (0, across - width)]


def _clearest(places: Sequence[Box], regions: Sequence[DefectRegion], levels: UInt8Array | None) -> Box:
    """The first place where a caption covers the least of the regions, and of what is nearly a defect."""
    near = None if levels is None else (levels >= level_of(_NEARLY_A_DEFECT)).view(np.uint8)

    def covered_px(place: Box) -> int:
        rows, columns = slice(place.y, place.y + place.height), slice(place.x, place.x + place.width)
        spots = 0 if near is None else cv2.countNonZero(near[rows, columns])
        return sum(shared_px(place, region.box) for region in regions) + spots

    return min(places, key=covered_px)


def _draw_scale(picture: UInt8Array, box: Box, multiple: float) -> None:
    """Draw the colour scale from 0 to twice the threshold, a line at the threshold and a mark at a multiple of it."""
    stops = colour_scale()
    where = np.linspace(0, 2, box.width)
    multiples = [stop for stop, _, _ in stops]
    opacity = np.interp(where, multiples, [opacity for _, _, opacity in stops])[:, None]
    bgr = np.stack([np.interp(where, multiples, [rgb[channel] for _, rgb, _ in stops]) for channel in (2, 1, 0)], -1)
    colours = np.rint(bgr * opacity + _GROUND_OF_SCALE * (1 - opacity)).astype(np.uint8)
    thick = max(1, box.height // 8)
    top = box.y + box.height // 4
    picture[top : box.y + box.height - box.height // 4, box.x : box.x + box.width] = colours
    centre = box.x + box.width // 2
    picture[box.y : box.y + box.height, centre - thick // 2 : centre - thick // 2 + thick] = BLACK
    at = box.x + round(min(multiple, 2) / 2 * (box.width - 1))
    radius = max(2, box.height // 3)
    triangle = np.array([[at - radius, box.y], [at + radius, box.y], [at, box.y + box.height // 2 + thick]])
    cv2.fillConvexPoly(picture, triangle, WHITE, cv2.LINE_AA)
