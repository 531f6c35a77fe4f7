"""A bundle without a graph, and pictures for the fake engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import Manifest, ModelRecord, PictureLimits, PreprocessSpec, TrainingRecord
from edgerd.types import UInt8Array

THRESHOLD = 0.25
"""The threshold for scores of the fake engine, |grey level - 128| / 128."""


def make_bundle(spec: PreprocessSpec | None = None, limits: PictureLimits | None = None) -> Bundle:
    manifest = Manifest(
        id="b" * 64,
        created_at="2026-01-01T00:00:00Z",
        edgerd_version="0",
        model=ModelRecord(teacher="lite0", student="full", teacher_sha256="0" * 64),
        training=TrainingRecord(
            method="rd4ad", seed=0, epochs=1, steps=1, batch_size=1, n_train=1, n_holdout=1, n_skipped=0,
            data_fingerprint="0" * 64,
        ),
        preprocess=spec or PreprocessSpec(height=32, width=32),
        limits=limits or PictureLimits(mean_low=40, mean_high=240, contrast_low=0),
    )  # fmt: skip
    return Bundle(Path("line.bundle"), manifest)


def picture(defect: float = 0.0, *, height: int = 48, width: int = 64, number: int = 0) -> UInt8Array:
    """Mid grey with a bright spot in the middle that scores `defect`; `number` makes two pictures differ by a pixel."""
    grey = np.full((height, width), 128.0)
    grey[height // 4 : -height // 4, width // 4 : -width // 4] += 128 * defect
    grey[0, 0] += number % 2
    return np.repeat(grey.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


GOOD, DEFECTIVE, BLACK = picture(), picture(0.5), np.zeros((48, 64, 3), np.uint8)
