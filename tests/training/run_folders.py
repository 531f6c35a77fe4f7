"""What run folders are prepared with in tests, and what is in one."""

from __future__ import annotations

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.training.run import TrainingConfig

SPEC = PreprocessSpec(height=64, width=64)
CONFIG = TrainingConfig(teacher="mini", method="rd4ad", student="full", holdout=0.1, preprocess=SPEC, steps=2)


def files_of(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
