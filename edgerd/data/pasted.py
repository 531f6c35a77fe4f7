"""Artificial defects, pasted into good pictures: a test that needs no real defects.

CutPaste (Li et al., CVPR 2021, arXiv:2104.04015) pastes rectangles of the picture itself; DRAEM (Zavrtanik et al., ICCV
2021, arXiv:2108.07610) textures under irregular masks from smooth noise. Here are six kinds, `PASTED_KINDS`:

    thin      a scratch or crack: a line of several segments, 1 to 3 px wide, darker or brighter
    small     a spot of a few pixels, darker or brighter
    faint     a stain of 0.5 to 4 % of the picture, a little darker or brighter, its edge soft
    large     1 to 10 % of the picture, from another picture or place, in another light
    texture   0.3 to 3 %, from another picture or place, as it is
    colour    0.2 to 2 %, one flat grey or colour

All but the lines have irregular masks. They are on the part where a part can be told from its background, else
anywhere. How many are found is not how many real defects will be found; but it shows what an engine loses against
another, and whether a model finds anything at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.data.aspect import keep_from_padding, picture_box, window
from edgerd.types import BoolArray, Float32Array, UInt8Array

PASTED_KINDS = ("thin", "small", "faint", "large", "texture", "colour")
N_PER_KIND = 8
"""Defects of each kind that `pasted_defects` makes: 48 in all."""

_DESIGNED_AT_PX = 256
"""Sizes in pixels are for pictures whose smaller side is this; they shrink and grow with it, lines to 1 px at least."""
_TRIES = 8
"""Masks and colours are drawn again up to so many times, until a defect is visible."""
_VISIBLE = 12.0
"""Grey levels by which a defect should differ from what was there, on average over its mask; the best try is kept."""
_SOFT_PX = 0.7
"""Sigma of the blur at the edges of a defect: a lens gives no sharper ones."""
_BORDER = 0.03
"""Width of the picture's border, as a share of its smaller side."""
_ON_BORDER = 0.2
"""Largest share of the border that a part may cover."""
_STANDS_OUT = 25.0
"""Grey levels by which part and background must differ on average."""
_PART_SHARE = (0.03, 0.95)
"""Share of the picture that a part fills, from and to; what fills less or more is no part on a background."""
_EVERYTHING = (slice(None), slice(None))
"""All rows and columns."""


@dataclass(frozen=True, eq=False)
class Pasted:
    """Good pictures with a defect in each.

    Attributes:
        pictures: uint8 (n, T, H, W, 3), BGR.
        kinds: The kind of each picture's defect, one of `PASTED_KINDS`.
        masks: bool (n, T, H, W), True on the defect, which is in one tile of each picture.
    """

    pictures: UInt8Array
    kinds: tuple[str, ...]
    masks: BoolArray


def pasted_defects(good: UInt8Array, *, padded: bool = False) -> Pasted:
    """`N_PER_KIND` defects of each kind, pasted into pictures taken evenly from those given.

    The same pictures always get the same defects.

    Args:
        good: uint8 (n, T, H, W, 3), BGR, n >= 1; not changed.
        padded: Whether they were prepared with aspect `letterbox`: nothing is pasted into the padding.
    """
    wanted = N_PER_KIND * len(PASTED_KINDS)
    chosen = np.linspace(0, len(good) - 1, wanted).round().astype(int) if len(good) >= wanted else _cycled(good, wanted)
    return paste_defects(good[chosen], good, seed=0, padded=padded)


def paste_defects(pictures: UInt8Array, sources: UInt8Array, seed: int, *, padded: bool = False) -> Pasted:
    """Paste one defect into each picture; the kinds take turns.

    Args:
        pictures: uint8 (n, T, H, W, 3), BGR, n >= 1; not changed.
        sources: uint8 (m, T, H, W, 3), BGR: the pictures that pasted patches are cut from.
        seed: The same seed gives the same defects. Those in a picture do not depend on the other pictures, but for
            patches, which depend on `sources`.
        padded: Whether they were prepared with aspect `letterbox`: nothing is pasted into the padding.
    """
    spoilt: UInt8Array = pictures.copy()
    masks = np.zeros(pictures.shape[:-1], np.bool_)
    chosen = tuple(PASTED_KINDS[index % len(PASTED_KINDS)] for index in range(len(pictures)))
    for index, kind in enumerate(chosen):
        rng = np.random.default_rng([seed, index])
        shown = window(picture_box(pictures[index, 0])) if padded else _EVERYTHING
        parts = [part_of(tile[shown]) for tile in pictures[index]]
        areas = np.array([part.sum() for part in parts], np.float64)
        tile = int(rng.choice(len(parts), p=areas / areas.sum()))
        others = sources[:, :, shown[0], shown[1]]
        given, masks[index, tile][shown] = _spoil(pictures[index, tile][shown], kind, parts[tile], others, rng)
        if padded:
            keep_from_padding(given)
        spoilt[index, tile][shown] = given
    return Pasted(spoilt, chosen, masks)


def part_of(tile: UInt8Array) -> BoolArray:
    """A mask of the part, where it can be told from the background; else a mask of everything.

    Pixels are divided in two classes by how far they are from the border's colour (Otsu, IEEE Trans. SMC 9(1), 1979).
    The far ones are the part, if they hardly reach the border.

    Args:
        tile: uint8 (H, W, 3), BGR.

    Returns:
        bool (H, W), not all False.
    """
    height, width = tile.shape[:2]
    edge = max(2, round(_BORDER * min(height, width)))
    is_border = np.ones((height, width), np.bool_)
    is_border[edge:-edge, edge:-edge] = False
    smooth = cv2.GaussianBlur(tile, (0, 0), 1.5 + 1.5 * min(height, width) / _DESIGNED_AT_PX).astype(np.float32)
    differs = np.abs(smooth - np.median(smooth[is_border], axis=0)).max(axis=2)
    cut, _ = cv2.threshold(differs.astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    part: BoolArray = differs > cut
    can_tell = (
        _PART_SHARE[0] < part.mean() < _PART_SHARE[1]
        and part[is_border].mean() < _ON_BORDER
        and differs[part].mean() - differs[~part].mean() > _STANDS_OUT
    )
    return part if can_tell else np.ones_like(part)


def _cycled(good: UInt8Array, wanted: int) -> npt.NDArray[np.int_]:
    """Indices of `wanted` pictures, each in turn; shifted by one after each round, so that the kinds alternate."""
    rounds, places = np.divmod(np.arange(wanted), len(good))
    return (places + rounds) % len(good)


def _spoil(
    tile: UInt8Array, kind: str, part: BoolArray, sources: UInt8Array, rng: np.random.Generator
) -> tuple[UInt8Array, BoolArray]:
    """A copy of the tile with a defect, and the defect's mask."""
    best: tuple[float, UInt8Array, BoolArray] | None = None
    for _ in range(_TRIES):
        mask = _MASKS[kind](part, rng)
        fill = _FILLS[kind](tile, mask, sources, rng)
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _edge_px(kind, mask))[..., None]
        mixed = tile + np.clip(alpha / max(float(alpha.max()), 1e-6), 0, 1) * (fill - tile)
        given = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        difference = float(np.abs(given[mask].astype(np.float32) - tile[mask]).mean())
        if best is None or difference > best[0]:
            best = difference, given, mask
        if difference >= (_VISIBLE if kind != "faint" else _VISIBLE / 3):
            break
    assert best is not None  # noqa: S101  the loop runs
    return best[1], best[2]


def _edge_px(kind: str, mask: BoolArray) -> float:
    return max(_SOFT_PX, 0.25 * math.sqrt(mask.sum())) if kind == "faint" else _SOFT_PX


def _somewhere(part: BoolArray, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a random pixel of the part."""
    rows, columns = np.nonzero(part)
    index = int(rng.integers(len(rows)))
    return int(rows[index]), int(columns[index])


def _scale(part: BoolArray) -> float:
    return float(min(part.shape)) / _DESIGNED_AT_PX


def _on_part(mask: BoolArray, part: BoolArray) -> BoolArray:
    return mask & part if (mask & part).sum() >= max(1, mask.sum() // 3) else mask


def _line(part: BoolArray, rng: np.random.Generator) -> BoolArray:
    """A line that bends a little from segment to segment, more like a crack or more like a scratch."""
    side, (y, x) = min(part.shape), _somewhere(part, rng)
    n, length = int(rng.integers(3, 9)), rng.uniform(0.12, 0.45) * side
    heading, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.7)
    points = [(float(x), float(y))]
    for step in length * rng.dirichlet(np.full(n, 4.0)):
        heading += rng.normal(0, bend)
        points.append((points[-1][0] + step * np.cos(heading), points[-1][1] + step * np.sin(heading)))
    thickness = max(1, round(rng.integers(1, 4) * _scale(part)))
    drawn = np.zeros(part.shape, np.uint8)
    cv2.polylines(drawn, [np.rint(points).astype(np.int32)], False, 255, thickness)
    return _on_part(drawn > 0, part)


def _blob(low: float, high: float) -> Callable[[BoolArray, np.random.Generator], BoolArray]:
    """An irregular mask whose area is between two shares of the picture, small ones as likely as large ones."""

    def mask(part: BoolArray, rng: np.random.Generator) -> BoolArray:
        area = np.exp(rng.uniform(np.log(low), np.log(high))) * part.size
        return _irregular(part, area, rng)

    return mask


def _spot(part: BoolArray, rng: np.random.Generator) -> BoolArray:
    """An irregular mask, a few pixels across."""
    return _irregular(part, max(4.0, np.pi * (rng.uniform(1.5, 4.0) * _scale(part)) ** 2), rng)


def _irregular(part: BoolArray, area: float, rng: np.random.Generator) -> BoolArray:
    """An ellipse with an edge that smooth noise moves; `area` is in pixels."""
    (y, x), radius = _somewhere(part, rng), np.sqrt(area / np.pi)
    aspect, turn = np.exp(rng.uniform(-0.7, 0.7)), rng.uniform(0, np.pi)
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    noise = cv2.GaussianBlur(rng.normal(size=part.shape), (0, 0), max(1.0, 0.45 * radius))
    inside = 0.5 * noise / noise.std() - (along**2 * aspect + across**2 / aspect) / radius**2
    inside[along**2 + across**2 > (4 * radius + 2) ** 2] = -np.inf  # noise makes islands far from the ellipse
    count = int(np.clip(round(area), 1, part.size))
    return _on_part(inside >= np.partition(inside.ravel(), -count)[-count], part)


def _shade(least: float, most: float) -> Callable[..., Float32Array]:
    """A fill that is darker or brighter by `least` to `most` grey levels, whichever there is room for."""

    def fill(tile: UInt8Array, mask: BoolArray, sources: UInt8Array, rng: np.random.Generator) -> Float32Array:
        del sources
        level = float(tile[mask].mean())
        brighter = rng.random() < np.clip((255.0 - level) / 255.0, 0.1, 0.9)
        tint = rng.uniform(0.8, 1.0, 1 if _is_grey(tile) else 3)
        change = rng.uniform(least, most) * (1 if brighter else -1)
        return (tile + change * tint).astype(np.float32)

    return fill


def _is_grey(tile: UInt8Array) -> bool:
    """Whether the picture has no colours, as from a grey camera: then its defects have none either."""
    return bool(np.ptp(tile, axis=2).mean() < 1.0)


def _flat(tile: UInt8Array, mask: BoolArray, sources: UInt8Array, rng: np.random.Generator) -> Float32Array:
    """One grey or one colour that differs from what is there, as a marker, a hole or a foreign body does."""
    del sources
    around = tile[mask].mean(axis=0)
    for _ in range(_TRIES):
        grey = _is_grey(tile) or rng.random() < 0.5
        colour = rng.uniform(0, 255, 1).repeat(3) if grey else rng.uniform(0, 255, 3)
        if np.abs(colour - around).max() > 40:
            break
    return np.broadcast_to(colour, tile.shape).astype(np.float32)


def _patch(tile: UInt8Array, mask: BoolArray, sources: UInt8Array, rng: np.random.Generator) -> Float32Array:
    """A patch of a part, from another picture or elsewhere in the same one, mirrored or not."""
    del tile
    source = sources[rng.integers(len(sources)), rng.integers(sources.shape[1])]
    source = np.ascontiguousarray(source[:: rng.choice([1, -1]), :: rng.choice([1, -1])])
    rows, columns = np.nonzero(mask)
    y, x = _somewhere(part_of(source), rng)
    patch: Float32Array = np.roll(source, (int(rows.mean()) - y, int(columns.mean()) - x), axis=(0, 1))
    return patch.astype(np.float32)


def _lit_patch(tile: UInt8Array, mask: BoolArray, sources: UInt8Array, rng: np.random.Generator) -> Float32Array:
    """A patch of a part, as from `_patch`, in another light."""
    patch = _patch(tile, mask, sources, rng) * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25)
    return patch.astype(np.float32)


_MASKS: dict[str, Callable[[BoolArray, np.random.Generator], BoolArray]] = {
    "thin": _line,
    "small": _spot,
    "faint": _blob(0.005, 0.04),
    "large": _blob(0.01, 0.1),
    "texture": _blob(0.003, 0.03),
    "colour": _blob(0.002, 0.02),
}
_FILLS: dict[str, Callable[..., Float32Array]] = {
    "thin": _shade(40, 110),
    "small": _shade(40, 110),
    "faint": _shade(10, 25),
    "large": _lit_patch,
    "texture": _patch,
    "colour": _flat,
}
