"""What is measured: a bundle with a ResNet18 at 256 px, given, or made here from random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgerd.building.calibrate import calibrate
from edgerd.bundle import Bundle
from gpu.sections import NotRunError

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
    from edgerd.data.samples import write_dataset
    from edgerd.export.package import bundle_from_run
    from edgerd.manifest import PreprocessSpec
    from edgerd.models.teachers import make_teacher
    from edgerd.training.loop import train
    from edgerd.training.run import RunFolder, TrainingConfig

    data = folder / "parts"
    write_dataset(data, "ring", n_train=60, n_test_good=1, n_per_defect=1, size=SIZE)
    spec = PreprocessSpec(height=SIZE, width=SIZE)
    config = TrainingConfig(teacher=TEACHER, preprocess=spec, steps=_STEPS, batch_size=4, holdout=0.25)
    run = RunFolder.prepare(folder / "run", data, config)
    torch.manual_seed(0)
    train(run, make_teacher(TEACHER))
    bundle = bundle_from_run(RunFolder.open(run.path), folder / "bundle")
    calibrated = calibrate(bundle, false_alarm_rate=0.01).bundle
    return Subject(calibrated, run.path, f"{TEACHER}, random weights, {_STEPS} training steps")
