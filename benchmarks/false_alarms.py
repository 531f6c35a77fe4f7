"""Realised false-alarm rates: what a threshold from good pictures alone does on good pictures that nobody saw.

    python benchmarks/false_alarms.py --data metal_nut=DATA --data mtd=DATA --splits 50

All good pictures of a data set, those of train and test together, are split in two at random, again and again. The
first half (`--most` pictures at most) is what a user has: prototypes and statistics are taken from it, and a threshold
is found from its honest scores, as `edgerd train --method prototypes` does it. The second half is judged. Over the
splits, the mean
rate should be the rate asked for, or lower; "low" and "high" are the 95 % interval of the binomial law for as many
judgements as there are good pictures in the data set (splits share pictures, so that more splits do not make it
narrower).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from machine import print_results

from edgerd.data.dataset import Dataset
from edgerd.data.prepared import read_prepared
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.manifest import PreprocessSpec
from edgerd.models.teachers import Teacher
from edgerd.models.weights import load_teacher
from edgerd.training.device import use_threads
from edgerd.training.edge import Known, fit_known, fusion_of, scores_of_tiles
from edgerd.training.features import FeatureStore, compute_features
from edgerd.types import Float32Array

RATES = (0.01, 0.05)


def rates_of(
    store: FeatureStore, teacher: Teacher, n_train: int, size: tuple[int, int], n_splits: int
) -> Iterator[tuple[float, ...]]:
    """Per split, the share of the pictures that were not trained on above the threshold of each rate."""
    for seed in range(n_splits):
        order = np.random.default_rng(seed).permutation(len(store))
        good, others = (_part(store, np.sort(part)) for part in (order[:n_train], order[len(order) // 2 :]))
        known = fit_known(good, np.arange(len(good)), teacher.info, seed)
        fusion = fusion_of(known.maps, size)
        honest = scores_of_tiles(known.maps, fusion, size)
        new = scores_of_tiles(maps_of(known, others), fusion, size)
        yield tuple(float((new > threshold_from_scores(honest, rate).value).mean()) for rate in RATES)


@torch.no_grad()
def maps_of(known: Known, store: FeatureStore) -> tuple[Float32Array, ...]:
    """What is known of good parts, looking at pictures that it is not from."""
    found = [
        (*known.prototypes(store[rows]), known.positions(store[rows]))
        for rows in store.batches(np.arange(len(store)), 8)
    ]
    return tuple(torch.cat(maps).numpy() for maps in zip(*found, strict=True))


def _part(store: FeatureStore, rows: npt.NDArray[np.intp]) -> FeatureStore:
    return FeatureStore(tuple(stage[rows] for stage in store.stages))


def row_of(name: str, data: Path, teacher: Teacher, n_splits: int, most: int) -> dict[str, Any]:
    """The rates of a data set over all splits."""
    spec, dataset = PreprocessSpec(), Dataset.open(data)
    files = [*dataset.train_good, *(picture.path for picture in dataset.test if not picture.is_defective)]
    tiles = read_prepared(files, spec).pictures[:, 0]
    with tempfile.TemporaryDirectory() as folder:
        store = compute_features(teacher, tiles, Path(folder) / "features")
        n_train = min(most, len(tiles) // 2)
        found = np.array(list(rates_of(store, teacher, n_train, (spec.height, spec.width), n_splits)))
    row: dict[str, Any] = {"data": name, "good pictures": len(tiles), "trained on": n_train, "splits": n_splits}
    for rate, realised in zip(RATES, found.T, strict=True):
        spread = 1.96 * float(np.sqrt(rate * (1 - rate) / len(tiles)))
        row |= {
            f"mean at {rate:.0%}": float(realised.mean()),
            f"low, high at {rate:.0%}": f"{max(rate - spread, 0):.3f}, {rate + spread:.3f}",
        }
    return row


def main() -> None:
    """Parse, split, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DATA")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--most", type=int, default=200, help="pictures that are trained on, at most")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    use_threads(1)
    teacher = load_teacher("lite0")
    entries = [entry.partition("=")[::2] for entry in arguments.data]
    rows = [row_of(name, Path(data), teacher, arguments.splits, arguments.most) for name, data in entries]
    print_results("False alarms", rows, [], arguments.json)


if __name__ == "__main__":
    main()
