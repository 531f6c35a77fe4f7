"""Maps and scores of many pictures through one engine."""

from __future__ import annotations

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


def holdout_pictures(bundle: Bundle) -> UInt8Array:
    """The bundle's held-out good pictures, uint8 (n, T, H, W, 3).

    Raises:
        BundleError: It was exported without pictures.
    """
    manifest = bundle.manifest
    if not manifest.holdout:
        raise BundleError(
            f"{bundle.path} has no pictures.",
            expected="held-out good pictures in it, or a folder of good pictures that training never saw",
            hint=f"edgerd calibrate {quote(str(bundle.path))} DATA, build-engine with --calibration DATA, "
            "or export again without --no-pictures",
        )
    return load_bundle_pictures(bundle, manifest.holdout, manifest.preprocess)
