"""Accuracy: data set x runtime x precision, against the FP32 graph on ONNX Runtime.

    python benchmarks/accuracy.py --bundle metal_nut=BUNDLE=DATA --bundle mtd=BUNDLE=DATA > results/accuracy.md

Each bundle is evaluated with every engine that this machine can run, on the same pictures; INT8 takes its ranges from
the bundle's. "flipped" counts verdicts that differ from the reference's at its threshold for a false-alarm rate. How
the student was trained stands in the table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from engines import engines_of
from machine import print_results

from edgerd.building.evaluate import Evaluation, evaluate
from edgerd.building.scores import holdout_pictures, maps_of, scores_of
from edgerd.bundle import Bundle
from edgerd.data.dataset import Dataset
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.runtimes.choose import OpenedEngine, open_engine

FALSE_ALARM_RATES = (0.05, 0.01)


def evaluations_of(bundle: Bundle, dataset: Dataset, threads: int) -> dict[tuple[str, str], Evaluation]:
    """By runtime and precision; ONNX Runtime FP32, the reference, first. All are judged with the FP32 threshold."""
    found = {}
    for engine in engines_of(bundle, threads):
        with OpenedEngine(engine, bundle.manifest.threshold, "") as opened:
            found[engine.key.runtime, engine.key.precision] = evaluate(bundle, opened, dataset)
    return found


def thresholds_of(bundle: Bundle, threads: int) -> dict[float, float]:
    """The FP32 graph's threshold for each false-alarm rate, from the bundle's held-out pictures."""
    with open_engine(bundle, "onnxruntime", "fp32", threads) as opened:
        scores = scores_of(maps_of(opened.engine, holdout_pictures(bundle)))
    return {rate: threshold_from_scores(scores, rate).value for rate in FALSE_ALARM_RATES}


def rows_of(
    name: str, bundle: Bundle, found: dict[tuple[str, str], Evaluation], thresholds: dict[float, float]
) -> list[dict[str, Any]]:
    """A row per engine."""
    training, reference = bundle.manifest.training, next(iter(found.values()))
    return [
        {
            "data": name,
            "teacher": bundle.manifest.model.teacher,
            "method": f"{training.method}, {training.epochs} epochs, seed {training.seed}",
            "trained on": training.n_train,
            "runtime": runtime,
            "precision": precision,
            "image AUROC": evaluation.metrics.image_auroc,
            "pixel AUROC": evaluation.metrics.pixel_auroc,
            "AUPRO": evaluation.metrics.aupro,
            "PRO per image": evaluation.metrics.pro_per_image,
            "max map error": float(np.abs(evaluation.maps - reference.maps).max()),
            **{
                f"flipped at {rate:.0%}": int(((evaluation.scores > value) != (reference.scores > value)).sum())
                for rate, value in thresholds.items()
            },
            "pictures": len(evaluation.scores),
        }
        for (runtime, precision), evaluation in found.items()
    ]


def per_defect(name: str, evaluation: Evaluation) -> str:
    """One line: image AUROC by kind of defect."""
    parts = [f"{kind} {part.image_auroc:.4f} (n {part.n})" for kind, part in evaluation.metrics.per_defect.items()]
    return f"{name}, FP32, image AUROC by defect: {', '.join(parts)}."


def main() -> None:
    """Parse, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", action="append", required=True, metavar="NAME=BUNDLE=DATA")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, notes = [], []
    for entry in arguments.bundle:
        name, path, data = entry.split("=")
        bundle = Bundle.open(path)
        found = evaluations_of(bundle, Dataset.open(Path(data)), arguments.threads)
        rows += rows_of(name, bundle, found, thresholds_of(bundle, arguments.threads))
        notes.append(per_defect(name, next(iter(found.values()))))
    print_results("Accuracy", rows, notes, arguments.json)


if __name__ == "__main__":
    main()
