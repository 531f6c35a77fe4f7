"""Realised false-alarm rates: what a threshold from good pictures alone does on good pictures that nobody saw.

    python benchmarks/false_alarms.py --data metal_nut=DATA --data mtd=DATA --method prototypes --splits 50

All good pictures of a data set, those of train and test together, are split in two at random, again and again. The
first half (`--most` pictures at most) is what a user has: a run is trained on it with the method's default settings,
and a threshold is found from its honest scores. The second half is judged by the networks of the run. Over the splits,
the mean rate should be the rate asked for, or lower; "low" and "high" are the 95 % interval of the binomial law for as
many judgements as there are good pictures in the data set (splits share pictures, so that more splits do not make it
narrower).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_results

from edgerd.data.dataset import Dataset
from edgerd.data.prepared import read_prepared
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.exporting.check import reference_maps
from edgerd.models.fusion import scores_of_maps
from edgerd.models.weights import load_teacher
from edgerd.runtimes.machine import usable_cores
from edgerd.training.checkpoint import Checkpoint
from edgerd.training.device import use_threads
from edgerd.training.methods import METHODS, make_method
from edgerd.training.restore import networks_in
from edgerd.training.run import RunFolder, TrainingConfig
from edgerd.types import UInt8Array

RATES = (0.01, 0.05)
CROSS_FITTED = [name for name, method in METHODS.items() if method.cross_fits]


def rates_of(files: list[Path], others: UInt8Array, config: TrainingConfig) -> list[float]:
    """Train on some good pictures; the share of the others above the threshold of each rate.

    Args:
        files: The pictures to train on.
        others: uint8 (n, H, W, 3), prepared.
        config: What to train.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        for index, file in enumerate(files):
            shutil.copy(file, pictures / f"{index:04d}{file.suffix}")
        run = RunFolder.prepare(Path(folder) / "run", pictures, config)
        train = make_method(config.method).train
        train(run, load_teacher(config.teacher), device="cpu", processes=usable_cores())
        checkpoint = Checkpoint.open(run.checkpoint_file)
        networks = networks_in(checkpoint, run)
    honest = checkpoint.cross_fit.scores
    scores = np.concatenate(
        [scores_of_maps(reference_maps(networks, frame[None]), networks.fusion) for frame in others]
    )
    return [float((scores > threshold_from_scores(honest, rate).value).mean()) for rate in RATES]


def row_of(name: str, data: Path, method: str, n_splits: int, most: int) -> dict[str, Any]:
    """The rates of a data set over all splits."""
    dataset = Dataset.open(data)
    files = [*dataset.train_good, *(picture.path for picture in dataset.test if not picture.is_defective)]
    n_train, found = min(most, len(files) // 2), []
    for seed in range(n_splits):
        config = TrainingConfig(method=method, student=make_method(method).student, seed=seed)
        order = np.random.default_rng(seed).permutation(len(files))
        others = read_prepared([files[i] for i in order[len(files) // 2 :]], config.preprocess).pictures[:, 0]
        found.append(rates_of([files[i] for i in order[:n_train]], others, config))
    row: dict[str, Any] = {"data": name, "method": method, "good pictures": len(files), "trained on": n_train}
    row["splits"] = n_splits
    for rate, realised in zip(RATES, np.transpose(found), strict=True):
        spread = 1.96 * float(np.sqrt(rate * (1 - rate) / len(files)))
        row |= {
            f"mean at {rate:.0%}": float(realised.mean()),
            f"low, high at {rate:.0%}": f"{max(rate - spread, 0):.3f}, {rate + spread:.3f}",
        }
    return row


def main() -> None:
    """Parse, split, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DATA")
    parser.add_argument("--method", choices=CROSS_FITTED, default="edge")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--most", type=int, default=200, help="pictures that are trained on, at most")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    use_threads(1)
    entries = [entry.partition("=")[::2] for entry in arguments.data]
    rows = [row_of(name, Path(data), arguments.method, arguments.splits, arguments.most) for name, data in entries]
    print_results("False alarms", rows, [], arguments.json)


if __name__ == "__main__":
    main()
