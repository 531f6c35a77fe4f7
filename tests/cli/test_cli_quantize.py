"""`edgerd quantize`: a table of what was written, or what is missing."""

from __future__ import annotations

import sys

import pytest

from edgerd.building.typed_graph import DEVICE_FLAVOURS
from edgerd.bundle.bundle import Bundle


def test_it_prints_a_table_and_the_bundle_has_the_graphs(edgerd, bundle):
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    result = edgerd("quantize", bundle.path, "--preset", "minmax")
    assert result.exit_code == 0, result.err
    assert result.err == ""
    rows = [line.split() for line in result.out.splitlines() if line.startswith("graph.")]
    for_cpus = [f"graph.int8.{flavour}.onnx" for flavour in DEVICE_FLAVOURS]
    files = ["graph.fp16.trt.onnx", "graph.int8.trt.onnx", *for_cpus]
    assert [row[0] for row in rows] == files
    assert [row[2] for row in rows] == ["0"] * len(files)
    assert all(float(row[3]) < 0.2 for row in rows)
    assert set(files) < set(Bundle.open(bundle.path).manifest.files)


def test_a_preset_that_does_not_exist(edgerd, bundle):
    result = edgerd("quantize", bundle.path, "--preset", "entropi")
    assert result.exit_code == 2
    assert "entropy" in result.err


def test_without_modelopt(edgerd, bundle, monkeypatch):
    for name in ("modelopt", "modelopt.onnx", "modelopt.onnx.autocast"):
        monkeypatch.setitem(sys.modules, name, None)
    result = edgerd("quantize", bundle.path)
    assert result.exit_code == 6
    assert 'pip install "edgerd[quantize]"' in result.err


def test_without_held_out_pictures_it_says_so_before_it_looks_at_others(edgerd, bundle, tmp_path):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": (), "ranges": ()}))
    result = edgerd("quantize", bare.path, "--ranges", tmp_path / "nowhere")
    assert result.exit_code == 3
    assert "without --no-pictures" in result.err


def test_no_bundle(edgerd, tmp_path):
    assert edgerd("quantize", tmp_path).exit_code == 3
