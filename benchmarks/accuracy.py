"""Accuracy: data set x runtime x precision, against the FP32 graph on ONNX Runtime.

    python benchmarks/accuracy.py --bundle metal_nut=BUNDLE=DATA --bundle mtd=BUNDLE=DATA > results/accuracy.md

Each bundle is evaluated with every engine that this machine can run, on the same pictures; INT8 takes its ranges from
the bundle's. TensorRT's typed graphs are run by ONNX Runtime as they are written, node by node: their numbers, not
their speed. Recall and false alarms are at each engine's own threshold, found as `edgerd build-engine` finds it from
the bundle's good pictures. "flipped" counts verdicts that differ from the reference's, each at its own threshold, and
in brackets at the reference's. "ms" is the engine's median for a picture, all engines taking turns; "MB" is what is
stored of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from engines import engines_of, tensorrt_numerics_of
from machine import print_results

from edgerd.acceptance.evaluate import Evaluation, evaluate
from edgerd.acceptance.gate import own_threshold
from edgerd.acceptance.gate_pictures import gate_pictures
from edgerd.acceptance.outputs import Outputs
from edgerd.building.candidates import outputs_of
from edgerd.bundle.bundle import Bundle
from edgerd.data.dataset import Dataset
from edgerd.runtimes.choose import OpenedEngine
from edgerd.runtimes.protocol import Engine
from edgerd.types import UInt8Array

_WARM_UP, _TIMED = 3, 20


def rows_of(name: str, bundle: Bundle, dataset: Dataset, threads: int) -> tuple[list[dict[str, Any]], str]:
    """A row per engine, and a line about the kinds of defects."""
    fp32 = bundle.manifest.threshold
    if fp32 is None:
        raise SystemExit(f"{bundle.path} is not calibrated: edgerd calibrate {bundle.path}")
    engines = [*engines_of(bundle, threads), *tensorrt_numerics_of(bundle, threads)]
    pictures = gate_pictures(bundle)
    times_ms = iter(medians_ms([each.engine for each in engines if each.is_timed], pictures.good[0]))
    rows: list[dict[str, Any]] = []
    standard: Outputs | None = None
    reference: Evaluation | None = None
    for each in engines:  # one after another: the maps of a large test set are large
        given = outputs_of(each.engine, pictures)
        standard = standard or given
        threshold = fp32 if given is standard else own_threshold(given, standard, fp32)
        evaluation = evaluate(bundle, OpenedEngine(each.engine, threshold, ""), dataset)
        reference = reference or evaluation
        metrics, verdicts = evaluation.metrics, reference.scores > fp32.value
        own, at_fp32 = (int(((evaluation.scores > value) != verdicts).sum()) for value in (threshold.value, fp32.value))
        rows.append(
            {
                "data": name,
                "model": _model(bundle),
                "runtime": each.runtime,
                "precision": each.precision,
                "image AUROC": metrics.image_auroc,
                "pixel AUROC": metrics.pixel_auroc,
                "recall": metrics.recall,
                "false alarms": metrics.false_alarm_rate,
                "flipped": f"{own} ({at_fp32})",
                "max map error": max(
                    float(np.abs(a - b).max()) for a, b in zip(evaluation.maps, reference.maps, strict=True)
                ),
                "pictures": len(evaluation.scores),
                "ms": next(times_ms) if each.is_timed else None,
                "MB": each.n_bytes / 1e6,
            }
        )
    return rows, per_defect(name, reference) if reference else ""


def medians_ms(engines: Sequence[Engine], tiles: UInt8Array) -> list[float]:
    """The median milliseconds of each for one picture, in turns."""
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(_WARM_UP + _TIMED):
        for engine, taken in zip(engines, times, strict=True):
            start = time.perf_counter()
            engine.infer(tiles)
            taken.append(1e3 * (time.perf_counter() - start))
    return [float(np.median(taken[_WARM_UP:])) for taken in times]


def _model(bundle: Bundle) -> str:
    model, training = bundle.manifest.model, bundle.manifest.training
    return (
        f"{model.teacher}, {training.method}, {training.steps} steps, {training.n_train} pictures, seed {training.seed}"
    )


def per_defect(name: str, evaluation: Evaluation) -> str:
    """One line: image AUROC by kind of defect."""
    parts = [
        f"{kind} {part.image_auroc:.4f}, {part.recall:.2f} (n {part.n})"
        for kind, part in evaluation.metrics.per_defect.items()
    ]
    return f"{name}, FP32, image AUROC and recall by defect: {'; '.join(parts)}."


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
