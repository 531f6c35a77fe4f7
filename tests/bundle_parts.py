"""A small bundle in files, its manifest, and ways to change what is on the disk."""

import hashlib
import json

from edgerd.bundle.bundle import bundle_id
from edgerd.bundle.manifest import (
    GRAPH_FILE,
    Manifest,
    ModelRecord,
    PictureLimits,
    PreprocessSpec,
    TrainingRecord,
)

PICTURES = {f"pictures/holdout/{index}.png": bytes([index]) * 40 for index in range(3)}
FILES = {GRAPH_FILE: b"the graph", "teacher.txt": b"licence", **PICTURES}


def manifest_of(files, **more):
    spec = more.pop("preprocess", PreprocessSpec())
    fields = {
        "id": bundle_id(hashlib.sha256(files[GRAPH_FILE]).hexdigest(), spec),
        "created_at": "2026-01-02T03:04:05+00:00",
        "edgerd_version": "0.1.0",
        "model": ModelRecord(teacher="lite0", student="light", teacher_sha256="ab" * 32),
        "training": TrainingRecord(
            method="edge", seed=1, epochs=2, steps=30, batch_size=4, n_train=8, n_holdout=8, n_skipped=1,
            data_fingerprint="cd" * 32,
        ),
        "preprocess": spec,
        "limits": PictureLimits(mean_low=10.5, mean_high=250.25, contrast_low=1.125),
        "holdout": tuple(name for name in files if name.startswith("pictures/")),
    }  # fmt: skip
    return Manifest(**(fields | more))


def rewrite(path, edit):
    """Change the manifest and give it the seal that edgerd would have given it."""
    content = json.loads((path / "bundle.json").read_text())
    edit(content)
    content["sha256"] = "0" * 64
    text = json.dumps(content)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (path / "bundle.json").write_text(text.replace("0" * 64, digest, 1))


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
