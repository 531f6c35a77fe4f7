"""What a camera inspects: products with their bundles, where their regions lie, and what is masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field, model_validator

from edgerd.recipe.records import LIVE, Misfit, RecipePath, RecipeRecord, refuse

MAX_SCORE: Final = 6.0
"""The largest score: three scales of 1 - cosine."""
_MAX_PIXEL: Final = 65_535

Pixel = Annotated[int, Field(ge=0, le=_MAX_PIXEL)]
"""A coordinate or a length in pixels of the frame."""
Threshold = Annotated[float, Field(ge=0, le=MAX_SCORE)]
BundleId = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
Rate = Annotated[float, Field(gt=0, lt=1)]


class Place(RecipeRecord):
    """Where the bundle's region lies in this camera's frame. Its size is the bundle's."""

    x: Pixel
    """Left edge, in pixels of the frame."""
    y: Pixel
    """Top edge, in pixels of the frame."""
    width: Annotated[int, Field(ge=1, le=_MAX_PIXEL)] | None = None
    """Not needed. Where it is given, it must be the width that the bundle was trained with."""
    height: Annotated[int, Field(ge=1, le=_MAX_PIXEL)] | None = None
    """Not needed. Where it is given, it must be the height that the bundle was trained with."""


class Mask(RecipeRecord):
    """An area of the frame that is not inspected: `rectangle` or `polygon`."""

    rectangle: tuple[Pixel, Pixel, Annotated[Pixel, Field(ge=1)], Annotated[Pixel, Field(ge=1)]] | None = None
    """x, y, width, height in pixels of the frame."""
    polygon: Annotated[tuple[tuple[Pixel, Pixel], ...], Field(min_length=3, max_length=1000)] | None = None
    """Three or more corners, each x, y in pixels of the frame; the pixels on the edges belong to it."""

    @model_validator(mode="after")
    def _one_shape(self) -> Mask:
        if (self.rectangle is None) == (self.polygon is None):
            shapes = "either rectangle = [x, y, width, height] or polygon = [[x, y], [x, y], [x, y], ...]"
            refuse([Misfit((), shapes)])
        return self


class Product(RecipeRecord):
    """What is inspected: a kind of part, with the bundle that was trained on it."""

    bundle: RecipePath
    """Folder of the bundle."""
    bundle_id: BundleId | None = None
    """The id of the bundle or how it begins, as `edgerd show` prints it. Another bundle is refused."""
    region: Place | None = None
    """Where the region lies. Without it, where it lay in the training pictures."""
    threshold: Threshold | None = Field(default=None, json_schema_extra=LIVE)
    """NG is a score above it. Without it, the bundle's own."""
    false_alarm_rate: Rate | None = Field(default=None, json_schema_extra=LIVE)
    """Share of good parts that may be called NG, from which the threshold is found; instead of `threshold`."""
    index: Annotated[int, Field(ge=0, le=_MAX_PIXEL)] | None = None
    """By which number a PLC chooses this product."""

    @model_validator(mode="after")
    def _one_threshold(self) -> Product:
        refuse(two_thresholds(self.threshold, self.false_alarm_rate))
        return self


def two_thresholds(threshold: float | None, false_alarm_rate: float | None) -> Iterator[Misfit]:
    """What is wrong with a table that states both; else nothing."""
    if threshold is not None and false_alarm_rate is not None:
        yield Misfit(("false_alarm_rate",), "either threshold or false_alarm_rate, not both")
