"""A few defective pictures that a person has, and what the FP32 graph makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgerd.acceptance.scores import holdout_pictures, maps_of, scores_of
from edgerd.bundle.bundle import Bundle
from edgerd.data.layouts import MASKS, TRAIN, all_pictures, is_good
from edgerd.data.no_folder import no_folder
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import prepare
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import DatasetError, PictureError
from edgerd.paths import is_folder
from edgerd.runtimes.choose import open_engine
from edgerd.types import Float64Array

_EXPECTED = "pictures of defective parts, in it or in folders below it"


@dataclass(frozen=True)
class ScoredDefect:
    """A defective picture and its score by the FP32 graph."""

    path: Path
    score: float


def scored_defects(bundle: Bundle, folder: Path, say: Callable[[str], None] = lambda _: None) -> list[ScoredDefect]:
    """Run the FP32 graph on the defective pictures of a folder and of the folders in it.

    Args:
        bundle: Opened.
        folder: Pictures of defective parts, or a data set in MVTec's layout, whose good ones are left out.
        say: Told what cannot be read, and whether the pictures are of another shape than those of training, a line at a
            time.

    Raises:
        DatasetError: There are none that can be read, or a folder cannot be read.
        SpecError: Region or tiles do not fit a picture.
    """
    spec = bundle.manifest.preprocess
    paths = [path for path in all_pictures(folder) if not any(map(_holds_none, path.relative_to(folder).parts[:-1]))]
    found, shapes = [], ShapeGuard(bundle.manifest)
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        for path in paths:
            try:
                bgr = read_picture(path)
            except PictureError as error:
                say(f"left out: {error.what}")
                continue
            tiles = prepare(bgr, spec)
            shapes.see(bgr.shape[1], bgr.shape[0])
            found.append(ScoredDefect(path, float(opened.engine.infer(tiles).score.max())))
    if not found and not is_folder(folder):
        raise no_folder(folder, _EXPECTED)
    if not found:
        raise DatasetError(
            f"{folder} holds no picture of a defective part that can be read.",
            expected=_EXPECTED,
            hint="Check the path.",
        )
    for line in shapes.warnings():
        say(line)
    return found


def _holds_none(name: str) -> bool:
    """Whether a folder of a data set holds no picture of a defective part."""
    return is_good(name) or name in {TRAIN, MASKS}


def good_scores(bundle: Bundle) -> Float64Array:
    """All good scores that a bundle's threshold is found from, float64 (n,); nothing is stored."""
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        own = scores_of(maps_of(opened.engine, holdout_pictures(bundle)))
    return np.append(np.array(bundle.manifest.scores_alone, np.float64), own)
