"""What is measured: a bundle with a ResNet18 at 256 px, given, or made here from random weights."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.calibration.calibrate import calibrate
from edgerd.errors import EdgerdError
from edgerd.precision.tensorrt import FLAVOUR
from gpu.sections import NotRunError, Section

TEACHER, SIZE = "resnet18", 256
_STEPS = 40
"""So many that the running statistics of BatchNorm are those of the pictures: else values leave FP16's range."""
_NO_TORCH = (
    'there is no bundle to measure: give one (--bundle BUNDLE), or install PyTorch (pip install "edgerd[train]") to '
    "have one made"
)


@dataclass(frozen=True)
class Subject:
    """A bundle, and the run that it was exported from.

    Attributes:
        bundle: Calibrated.
        run: For the networks in PyTorch; None where only the bundle was given.
        origin: What the weights are, for people.
    """

    bundle: Bundle
    run: Path | None
    origin: str


def fill(section: Section, subject: Subject, precisions: Iterable[str], folder: Path) -> None:
    """Keep the typed graph of every precision in the folder, and a row for each; facts: the subject, and `graphs`.

    A graph that cannot be made here is named, with what it lacks; without ModelOpt those are FP16 and INT8.
    """
    folder.mkdir(parents=True, exist_ok=True)
    section.facts |= {"bundle": str(subject.bundle.path), "run": subject.run and str(subject.run), "graphs": []}
    section.facts["origin"] = subject.origin
    for precision in precisions:
        started_s = time.perf_counter()
        try:
            graph = typed_graph(subject.bundle, precision, FLAVOUR)
        except EdgerdError as error:
            section.notes.append(f"There is no {precision} graph: {error.what} Next: {error.hint}")
            continue
        graph_file(folder, precision).write_bytes(graph.content)
        section.facts["graphs"].append(precision)
        seconds = round(time.perf_counter() - started_s, 1)
        section.add({"graph": graph.file, "MB": len(graph.content) / 1e6, "made in s": seconds})
    section.notes.append(f"{subject.origin}.")


def graph_file(folder: Path, precision: str) -> Path:
    """Where `fill` keeps a graph."""
    return folder / f"{precision}.onnx"


def given_subject(bundle: Path, run: Path | None) -> Subject:
    """A bundle from the command line."""
    return Subject(Bundle.open(bundle), run, f"the bundle {bundle.name}")


def made_subject(folder: Path) -> Subject:
    """Train for a few steps from random weights, export, calibrate: times do not depend on what the weights are.

    Raises:
        NotRunError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise NotRunError(_NO_TORCH) from error
    from edgerd.bundle.manifest import PreprocessSpec
    from edgerd.data.samples import write_dataset
    from edgerd.exporting.package import bundle_from_run
    from edgerd.models.teachers import make_teacher
    from edgerd.training.loop import train
    from edgerd.training.run import RunFolder, TrainingConfig

    data = folder / "parts"
    write_dataset(data, "ring", n_train=60, n_test_good=1, n_per_defect=1, size=SIZE)
    spec = PreprocessSpec(height=SIZE, width=SIZE)
    config = TrainingConfig(
        teacher=TEACHER, student="full", method="rd4ad", preprocess=spec, steps=_STEPS, batch_size=4, holdout=0.25
    )
    run = RunFolder.prepare(folder / "run", data, config)
    torch.manual_seed(0)
    train(run, make_teacher(TEACHER), device="cpu")  # the GPU is left to what is measured
    bundle = bundle_from_run(RunFolder.open(run.path), folder / "bundle")
    calibrated = calibrate(bundle, false_alarm_rate=0.01).bundle
    return Subject(calibrated, run.path, f"{TEACHER}, random weights, {_STEPS} training steps")
