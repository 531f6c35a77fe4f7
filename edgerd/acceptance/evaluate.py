"""What a bundle's engine is worth on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import numpy.typing as npt

from edgerd.acceptance.scores import shown_maps
from edgerd.acceptance.training_pictures import training_pictures
from edgerd.bundle.bundle import Bundle
from edgerd.data.dataset import Dataset, TestPicture, read_mask_for
from edgerd.data.layouts import TEST, data_set_around
from edgerd.data.pictures import picture_sha256, read_picture
from edgerd.data.preprocess import prepare, prepare_mask
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import DatasetError, PictureError, SpecError
from edgerd.evaluation.summary import Metrics, evaluate_scores
from edgerd.runtimes.choose import OpenedEngine
from edgerd.types import Float32Array


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores and maps of a test set, and what follows from them.

    Attributes:
        pictures: The pictures that could be read, in the data set's order.
        scores: float64 (n,), the maximum over a picture's tiles.
        maps: The anomaly map of each picture, float32 (T, H, W); with aspect `letterbox` without the padding, so that
            they may differ in size.
        masks: The mask of each picture: bool, of its map's shape, or None where nobody drew one.
        metrics: Everything that `edgerd evaluate --json` writes of them.
        skipped: Pictures that could not be read, and why.
        n_trained_on: How many of the pictures the bundle was trained on, as far as it knows them again.
        warnings: What else a person must know of the pictures, a sentence or two each.
    """

    pictures: tuple[TestPicture, ...]
    scores: npt.NDArray[np.float64]
    maps: tuple[Float32Array, ...]
    masks: tuple[npt.NDArray[np.bool_] | None, ...]
    metrics: Metrics
    skipped: dict[str, str]
    n_trained_on: int = 0
    warnings: tuple[str, ...] = ()

    def as_json(self, opened: OpenedEngine) -> dict[str, Any]:
        """What `edgerd evaluate --json` writes."""
        key = opened.engine.key
        return self.metrics.as_json() | {
            "runtime": key.runtime,
            "precision": key.precision,
            "device": key.device,
            "n_skipped": len(self.skipped),
            "n_trained_on": self.n_trained_on,
        }


def evaluate(
    bundle: Bundle,
    opened: OpenedEngine,
    dataset: Dataset,
    *,
    strict: bool = False,
    on_picture: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Run a test set through an engine.

    Args:
        bundle: Says how pictures are prepared, and which ones training saw.
        opened: The engine and its threshold.
        dataset: With test pictures.
        strict: Stop at a picture that cannot be read instead of leaving it out.
        on_picture: Called once for each picture.

    Raises:
        DatasetError: There are no test pictures.
        PictureError: A mask does not fit its picture; or a picture cannot be read, with `strict`.
        SpecError: Region or tiles do not fit a picture; its file is named.
    """
    if not dataset.test:
        raise _no_test_pictures(bundle, dataset.root)
    spec = bundle.manifest.preprocess
    trained_on, n_trained_on = training_pictures(bundle), 0
    shapes = ShapeGuard(bundle.manifest)
    pictures, scores, maps, masks, skipped = [], [], [], [], {}
    for picture in dataset.test:
        on_picture()
        try:
            bgr = read_picture(picture.path)
            tiles = prepare(bgr, spec)
        except PictureError as error:
            if strict:
                raise
            skipped[str(picture.path)] = error.what
            continue
        except SpecError as error:
            raise SpecError(f"{picture.path}: {error.what}", expected=error.expected, hint=error.hint) from error
        mask = read_mask_for(picture, *bgr.shape[:2])
        result = opened.engine.infer(tiles)
        if spec.aspect == "letterbox":
            result = shown_maps(result, tiles)
        n_trained_on += picture_sha256(tiles) in trained_on
        shapes.see(bgr.shape[1], bgr.shape[0])
        pictures.append(picture)
        scores.append(float(result.score.max()))
        maps.append(result.anomaly_map)
        masks.append(None if mask is None else prepare_mask(mask, spec))
    threshold = opened.threshold.value if opened.threshold else None
    metrics = evaluate_scores(scores, [p.defect for p in pictures], threshold, maps, masks)
    return Evaluation(
        pictures=tuple(pictures),
        scores=np.array(scores),
        maps=tuple(maps),
        masks=tuple(masks),
        metrics=metrics,
        skipped=skipped,
        n_trained_on=n_trained_on,
        warnings=shapes.warnings(),
    )


def _no_test_pictures(bundle: Bundle, root: Path) -> DatasetError:
    """The error for a folder without labelled pictures; it names the data set that the folder is a part of."""
    path, around = quote(str(bundle.path)), data_set_around(root)
    judges = f"edgerd inspect {path} PICTURE... for pictures without labels"
    return DatasetError(
        f"{root} has no test pictures: there are none in {root / TEST}.",
        expected="test/good and test/<defect>",
        hint=judges if around is None else f"edgerd evaluate {path} {quote(str(around))}; or {judges}",
    )
