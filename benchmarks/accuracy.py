"""Accuracy: data set x runtime x precision, against the FP32 graph on ONNX Runtime.

    python benchmarks/accuracy.py --bundle metal_nut=BUNDLE=DATA --bundle mtd=BUNDLE=DATA > results/accuracy.md

Each bundle is evaluated with every engine that this machine can run, on the same pictures; INT8 takes its ranges from
the bundle's. TensorRT's typed graphs are run by ONNX Runtime as they are written, node by node: their numbers, not
their speed. "flipped" counts verdicts that differ from the reference's at a false-alarm rate: each with its own
threshold, as engines are installed, and in brackets with the reference's threshold. "ms" is the engine's median for a
picture, all engines taking turns; "MB" is what is stored of it. How the student was trained stands in the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from engines import BenchmarkEngine, engines_of, tensorrt_numerics_of
from machine import print_results

from edgerd.building.evaluate import Evaluation, evaluate
from edgerd.building.scores import holdout_pictures, maps_of, scores_of
from edgerd.bundle import Bundle
from edgerd.data.dataset import Dataset
from edgerd.evaluation.metrics import Float64Array
from edgerd.evaluation.threshold import threshold_from_scores, threshold_like
from edgerd.runtimes.choose import OpenedEngine
from edgerd.runtimes.protocol import Engine
from edgerd.types import UInt8Array

FALSE_ALARM_RATES = (0.05, 0.01)
_WARM_UP, _TIMED = 3, 20


@dataclass(frozen=True, eq=False)
class Result:
    """An engine on the held-out good pictures and on the test set."""

    engine: BenchmarkEngine
    good_scores: Float64Array
    evaluation: Evaluation


def results_of(bundle: Bundle, dataset: Dataset, engines: Sequence[BenchmarkEngine]) -> Iterator[Result]:
    """One after another: the maps of a large test set are large."""
    good = holdout_pictures(bundle)
    for each in engines:
        scores = scores_of(maps_of(each.engine, good))
        opened = OpenedEngine(each.engine, bundle.manifest.threshold, "")
        yield Result(each, scores, evaluate(bundle, opened, dataset))


def rows_of(name: str, bundle: Bundle, dataset: Dataset, threads: int) -> tuple[list[dict[str, Any]], str]:
    """A row per engine, and a line about the kinds of defects."""
    engines = [*engines_of(bundle, threads), *tensorrt_numerics_of(bundle, threads)]
    times_ms = iter(medians_ms([each.engine for each in engines if each.is_timed], holdout_pictures(bundle)[0]))
    rows: list[dict[str, Any]] = []
    reference: Result | None = None
    for result in results_of(bundle, dataset, engines):
        reference = reference or result
        each, metrics = result.engine, result.evaluation.metrics
        rows.append(
            {
                "data": name,
                "student": _student(bundle),
                "runtime": each.runtime,
                "precision": each.precision,
                "image AUROC": metrics.image_auroc,
                "pixel AUROC": metrics.pixel_auroc,
                "AUPRO": metrics.aupro,
                "max map error": float(np.abs(result.evaluation.maps - reference.evaluation.maps).max()),
                **{f"flipped at {rate:.0%}": _flipped(result, reference, rate) for rate in FALSE_ALARM_RATES},
                "pictures": len(result.evaluation.scores),
                "ms": next(times_ms) if each.is_timed else None,
                "MB": each.n_bytes / 1e6,
            }
        )
    return rows, per_defect(name, reference.evaluation) if reference else ""


def medians_ms(engines: Sequence[Engine], tiles: UInt8Array) -> list[float]:
    """The median milliseconds of each for one picture, in turns."""
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(_WARM_UP + _TIMED):
        for engine, taken in zip(engines, times, strict=True):
            start = time.perf_counter()
            engine.infer(tiles)
            taken.append(1e3 * (time.perf_counter() - start))
    return [float(np.median(taken[_WARM_UP:])) for taken in times]


def _flipped(result: Result, reference: Result, rate: float) -> str:
    wanted = threshold_from_scores(reference.good_scores, rate)
    own = threshold_like(result.good_scores, reference.good_scores, wanted)
    verdicts = reference.evaluation.scores > wanted.value
    at_own, at_wanted = (
        int(((result.evaluation.scores > value) != verdicts).sum()) for value in (own.value, wanted.value)
    )
    return f"{at_own} ({at_wanted})"


def _student(bundle: Bundle) -> str:
    model, training = bundle.manifest.model, bundle.manifest.training
    return f"{model.teacher}, {training.method}, {training.epochs} epochs on {training.n_train}, seed {training.seed}"


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
        more, note = rows_of(name, Bundle.open(path), Dataset.open(Path(data)), arguments.threads)
        rows += more
        notes.append(note)
    print_results("Accuracy", rows, notes, arguments.json)


if __name__ == "__main__":
    main()
