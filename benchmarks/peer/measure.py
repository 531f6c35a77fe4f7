"""Times in turns, and verdicts, of products."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgerd.data.dataset import Dataset
from edgerd.data.pictures import read_picture
from edgerd.evaluation.metrics import image_auroc
from peer.products import EdgerdProduct, Judgement, Product

_WARM_UP = 5
_FRAMES = 8


def time_rows(data: Path, products: Sequence[Product], size: int, rounds: int) -> list[dict[str, Any]]:
    """A row per product: its median for a square frame, and each of edgerd's medians relative to it, round by round.

    Every product judges the same frame in a round, and a round begins with another product than the one before, so
    that none always runs in the wake of the same neighbour.
    """
    pictures = [read_picture(picture.path) for picture in Dataset.open(data).test]
    chosen = [pictures[index] for index in np.linspace(0, len(pictures) - 1, _FRAMES).astype(int)]
    frames = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR) for picture in chosen]
    own = [[product.frame(frame) for frame in frames] for product in products]
    taken = np.empty((_WARM_UP + rounds, len(products)))
    for at in range(len(taken)):
        for turn in range(len(products)):
            index = (at + turn) % len(products)
            frame = own[index][at % _FRAMES]
            start = time.perf_counter()
            products[index].judge(frame)
            taken[at, index] = 1e3 * (time.perf_counter() - start)
    taken = taken[_WARM_UP:]
    ours = [index for index, product in enumerate(products) if isinstance(product, EdgerdProduct)]
    return [
        {
            "data": data.name,
            "product": product.name,
            "runs": product.precision,
            "frame p50 ms": float(np.median(taken[:, index])),
            "frame p90 ms": float(np.quantile(taken[:, index], 0.9)),
            **{f"{products[each].name} / this": float(np.median(taken[:, each] / taken[:, index])) for each in ours},
        }
        for index, product in enumerate(products)
    ]


def verdict_row(data: Path, product: Product, unclamped: Product | None) -> dict[str, Any]:
    """A row: what the product says of every test picture, at its own threshold.

    Args:
        data: The data set.
        product: The product.
        unclamped: The same without the normalisation that clamps its scores, for an AUROC without ties; None for one
            that does not clamp.
    """
    judged, raw = [], []
    test = Dataset.open(data).test
    for picture in test:
        bgr = read_picture(picture.path)
        judged.append(product.judge(product.frame(bgr)))
        if unclamped is not None:
            raw.append(unclamped.judge(unclamped.frame(bgr)))
    defective = np.array([picture.is_defective for picture in test])
    ng = np.array([judgement.is_defective is True for judgement in judged])
    return {
        "data": data.name,
        "product": product.name,
        "runs": product.precision,
        "learned from": product.learned_from,
        "image AUROC": _auroc(judged, defective),
        "unclamped": _auroc(raw, defective) if raw else None,
        "recall": float(ng[defective].mean()),
        "found": f"{ng[defective].sum()} of {defective.sum()}",
        "false alarms": f"{ng[~defective].sum()} of {(~defective).sum()}",
        "no decision": sum(judgement.is_defective is None for judgement in judged),
    }


def _auroc(judgements: Sequence[Judgement], defective: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Of the frames that have a score."""
    scored = [judgement.score is not None for judgement in judgements]
    scores = [judgement.score for judgement in judgements if judgement.score is not None]
    return float(image_auroc(scores, defective[scored]))
