"""Maps and scores of many pictures through one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from shlex import quote

import numpy as np
import numpy.typing as npt

from edgerd.bundle.bundle import Bundle
from edgerd.data.aspect import picture_box, window
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import BundleError
from edgerd.runtimes.protocol import Engine, Maps
from edgerd.types import UInt8Array

FEW_PICTURES = 8
"""With fewer good pictures that training never saw, those that it saw help to compare engines."""


def maps_of(
    engine: Engine, pictures: Iterable[UInt8Array], on_picture: Callable[[], None] = lambda: None
) -> Iterator[Maps]:
    """Run each picture's tiles as one batch; pictures are uint8 (T, H, W, 3)."""
    for tiles in pictures:
        yield engine.infer(tiles)
        on_picture()


def shown_maps(maps: Maps, tiles: UInt8Array) -> Maps:
    """What an engine gave for a picture that was prepared with aspect `letterbox`, its maps without the padding.

    Args:
        maps: Of the picture.
        tiles: The picture, uint8 (T, H, W, 3), BGR.
    """
    rows, columns = window(picture_box(tiles[0]))
    return Maps(maps.score, np.ascontiguousarray(maps.anomaly_map[:, rows, columns]))


def scores_of(maps: Iterable[Maps]) -> npt.NDArray[np.float64]:
    """One score per picture, the maximum over its tiles: float64 (n,)."""
    return np.array([float(picture.score.max()) for picture in maps])


def holdout_pictures(bundle: Bundle) -> UInt8Array:
    """The bundle's good pictures that training never saw, uint8 (n, T, H, W, 3); there may be none."""
    manifest = bundle.manifest
    return load_bundle_pictures(bundle, manifest.holdout, manifest.preprocess)


def comparison_pictures(bundle: Bundle, instead: str = "") -> tuple[UInt8Array, int]:
    """Good pictures to compare engines with the FP32 graph on.

    Those that training never saw; where they are few, the bundle's range pictures as well: that the networks were
    trained on these makes no difference to a comparison.

    Args:
        bundle: Opened.
        instead: What else there is to type where it has none.

    Returns:
        uint8 (n, T, H, W, 3), n >= 1, and how many of them, from the first on, training never saw.

    Raises:
        BundleError: It was exported without pictures.
    """
    never_seen = holdout_pictures(bundle)
    good = with_range_pictures(bundle, never_seen)
    if not len(good):
        raise BundleError(
            f"{bundle.path} has no pictures of its own.",
            expected="good pictures, as edgerd export puts them there",
            hint=f"{instead}{'; or export' if instead else 'Export'} again without --no-pictures: "
            f"edgerd export RUN -o {quote(str(bundle.path))}",
        )
    return good, len(never_seen)


def with_range_pictures(bundle: Bundle, never_seen: UInt8Array) -> UInt8Array:
    """Good pictures that training never saw and, where they are few, the bundle's range pictures after them.

    Args:
        bundle: Opened.
        never_seen: uint8 (n, T, H, W, 3).

    Returns:
        uint8 (m, T, H, W, 3); none where there are none.
    """
    if len(never_seen) >= FEW_PICTURES:
        return never_seen
    manifest = bundle.manifest
    return np.concatenate([never_seen, load_bundle_pictures(bundle, manifest.ranges, manifest.preprocess)])
