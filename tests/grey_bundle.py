"""A bundle in files that opens on every runtime and needs no training: a pixel's score is |grey level - 128| / 128."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from device_parts import grey_graph
from inspection_parts import THRESHOLD, make_bundle

from edgerd.bundle.bundle import Bundle, bundle_id, save_bundle
from edgerd.bundle.manifest import GRAPH_FILE, PreprocessSpec, TileSpec
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.runtimes import load_runtime

CPU_RUNTIMES = [
    pytest.param(name, marks=() if load_runtime(name).probe().usable else pytest.mark.skip(f"{name} is not installed"))
    for name in ("onnxruntime", "openvino")
]


def save_grey_bundle(path: Path, tiles: TileSpec | None = None) -> Bundle:
    """A bundle for 32 x 32 pixels a tile, with the threshold of `inspection_parts`."""
    spec = PreprocessSpec(height=32, width=32, tiles=tiles or TileSpec(rows=1, columns=1))
    graph = grey_graph(32, 32)
    manifest = make_bundle(spec).manifest.model_copy(
        update={
            "id": bundle_id(hashlib.sha256(graph).hexdigest(), spec),
            "threshold": threshold_from_scores([THRESHOLD] * 200, 0.01),
        }
    )
    return save_bundle(path, manifest, {GRAPH_FILE: graph})
