"""Verdicts: what a bundle finds at its own threshold, from good pictures alone.

    python benchmarks/verdicts.py --data metal_nut=DATA --data nuts60=DATA:60 --method edge --seeds 0 1 2

Each data set is trained on with the default settings of a method, exported and calibrated as `edgerd train` and `edgerd
export` do it, and evaluated on its test pictures with the FP32 graph. "found" and "false alarms" are counted at the
bundle's own threshold, for a false-alarm rate of 1 %, which was found from good pictures. NAME=DATA:N trains on the
first N good pictures alone. "s" is the time from the folder of pictures to the calibrated bundle. Data sets are in
MVTec's layout.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_results

from edgerd.acceptance.evaluate import evaluate
from edgerd.bundle.bundle import Bundle
from edgerd.calibration.calibrate import calibrate
from edgerd.data.dataset import Dataset
from edgerd.exporting.package import bundle_from_run
from edgerd.models.weights import load_teacher
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.machine import usable_cores
from edgerd.training.device import use_threads
from edgerd.training.methods import METHODS, make_method
from edgerd.training.run import RunFolder, TrainingConfig

FALSE_ALARM_RATE = 0.01


def bundle_of(data: Path, folder: Path, config: TrainingConfig) -> tuple[Bundle, float]:
    """Train, export, calibrate; gives the bundle and the seconds it took."""
    method = make_method(config.method)
    use_threads(1)
    start = time.perf_counter()
    run = RunFolder.prepare(folder / "run", data, config)
    method.train(run, load_teacher(config.teacher), device="cpu", processes=usable_cores())
    bundle = bundle_from_run(run, folder / "bundle")
    return calibrate(bundle, FALSE_ALARM_RATE).bundle, time.perf_counter() - start


def row_of(name: str, data: Path, bundle: Bundle, seconds: float) -> dict[str, Any]:
    """What the bundle finds on the test pictures."""
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        metrics = evaluate(bundle, opened, Dataset.open(data)).metrics
    threshold, training = bundle.manifest.threshold, bundle.manifest.training
    found, alarms = (
        round((metrics.recall or 0) * metrics.n_defective),
        round((metrics.false_alarm_rate or 0) * metrics.n_good),
    )
    return {
        "data": name,
        "method": training.method,
        "seed": training.seed,
        "good pictures": training.n_train + training.n_holdout,
        "image AUROC": metrics.image_auroc,
        "pixel AUROC": metrics.pixel_auroc,
        "recall": metrics.recall,
        "found": f"{found} of {metrics.n_defective}",
        "false alarms": f"{alarms} of {metrics.n_good}",
        "extrapolated": "yes" if threshold and threshold.extrapolated else "no",
        "s": seconds,
        "by kind": ", ".join(
            f"{kind} {round((part.recall or 0) * part.n)} of {part.n}" for kind, part in metrics.per_defect.items()
        ),
    }


def means_of(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line per data set and method: the mean over the seeds."""
    for name, method in dict.fromkeys((row["data"], row["method"]) for row in rows):
        some = [row for row in rows if (row["data"], row["method"]) == (name, method)]
        figures = [
            f"{label} {np.mean([row[label] for row in some]):.4f}"
            for label in ("image AUROC", "pixel AUROC", "recall")
            if all(row[label] is not None for row in some)
        ]
        counts = ", ".join(f"{row['found']} ({row['false alarms']})" for row in some)
        yield f"{name}, {method}, mean of {len(some)} seeds: {', '.join(figures)}; found (false alarms): {counts}."


def first_pictures(data: Path, n: int, folder: Path) -> Path:
    """A plain folder with the first n good pictures of a data set."""
    folder.mkdir()
    for picture in Dataset.open(data).train_good[:n]:
        shutil.copy(picture, folder)
    return folder


def main() -> None:
    """Parse, train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DATA[:N]")
    parser.add_argument("--method", action="append", choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for entry in arguments.data:
        name, _, place = entry.partition("=")
        path, _, n = place.partition(":")
        for method in arguments.method or ["edge"]:
            for seed in arguments.seeds:
                with tempfile.TemporaryDirectory() as temporary:
                    folder = Path(temporary)
                    good = first_pictures(Path(path), int(n), folder / "pictures") if n else Path(path)
                    how = make_method(method)
                    config = TrainingConfig(
                        method=method,
                        student=how.student,
                        seed=seed,
                        steps=arguments.steps if how.has_student else None,
                        holdout=None if how.cross_fits else 0.1,
                    )
                    rows.append(row_of(name, Path(path), *bundle_of(good, folder, config)))
    print_results("Verdicts", rows, list(means_of(rows)), arguments.json)


if __name__ == "__main__":
    main()
