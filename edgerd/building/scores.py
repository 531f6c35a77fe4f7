"""Maps and scores of many pictures through one engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from shlex import quote

import numpy as np
import numpy.typing as npt

from edgerd.bundle import Bundle
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import BundleError
from edgerd.runtimes.protocol import Engine, Maps
from edgerd.types import UInt8Array


def maps_of(
    engine: Engine, pictures: Iterable[UInt8Array], on_picture: Callable[[], None] = lambda: None
) -> Iterator[Maps]:
    """Run each picture's tiles as one batch; pictures are uint8 (T, H, W, 3)."""
    for tiles in pictures:
        yield engine.infer(tiles)
        on_picture()


def scores_of(maps: Iterable[Maps]) -> npt.NDArray[np.float64]:
    """One score per picture, the maximum over its tiles: float64 (n,)."""
    return np.array([float(picture.score.max()) for picture in maps])


def picture_sha256(tiles: UInt8Array) -> str:
    """What a prepared picture, uint8 (T, H, W, 3), is known by, whatever file it came from: 64 hex digits."""
    return hashlib.sha256(tiles.tobytes()).hexdigest()


def holdout_pictures(bundle: Bundle, instead: str = "") -> UInt8Array:
    """The bundle's held-out good pictures, uint8 (n, T, H, W, 3).

    Args:
        bundle: Opened.
        instead: What else there is to type where it has none.

    Raises:
        BundleError: It was exported without pictures.
    """
    manifest = bundle.manifest
    if not manifest.holdout:
        raise BundleError(
            f"{bundle.path} has no pictures of its own.",
            expected="the good pictures that training held out, as edgerd export puts them there",
            hint=f"{instead}{'; or export' if instead else 'Export'} again without --no-pictures: "
            f"edgerd export RUN -o {quote(str(bundle.path))}",
        )
    return load_bundle_pictures(bundle, manifest.holdout, manifest.preprocess)
