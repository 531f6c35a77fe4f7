"""`edgerd show`: what is in a bundle, and whether it is what was written."""

from __future__ import annotations

import json

import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.file import sealed  # the way a hand-made manifest gets a valid seal
from edgerd.bundle.manifest import FileRecord
from edgerd.runtimes.tensorrt.layers import Layer, LayerReport
from edgerd.runtimes.tensorrt.options import BuildOptions
from edgerd.runtimes.tensorrt.record import BuildRecord


def test_what_is_in_it(edgerd, bundle):
    result = edgerd("show", bundle.path)
    assert result.exit_code == 0
    for expected in (
        bundle.manifest.id,
        "lite0, student full",
        "rd4ad, 6 epochs, 24 steps of 8, seed 0",
        "30 trained on, 10 held out, 0 left out",
        "64x64 px",
        f"{bundle.manifest.threshold.value:.4f} for a false-alarm rate of 1 %",
        "extrapolated",
    ):
        assert expected in result.out


def test_engines_with_key_and_gate(edgerd, bundle):
    edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32")
    result = edgerd("show", bundle.path)
    assert "onnxruntime fp32 (default)" in result.out
    assert "passed: compared with FP32 on 10 pictures" in result.out
    rows = {line.split("  ")[0]: line.split() for line in result.out.splitlines()}
    assert rows["good pictures"][2:] == ["10", "at", "least", "8", "passed"]
    assert rows["largest map error"][-1] == "passed"
    assert "not" in rows["AUPRO drop"]
    (engine,) = Bundle.open(bundle.path).manifest.engines
    assert f"{engine.threshold.value:.4f} for a false-alarm rate of 1 %, from 10 good pictures" in result.out


def test_blocks_that_int8_leaves_in_high_precision(edgerd, bundle):
    edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32")
    assert "not in INT8" not in edgerd("show", bundle.path).out
    opened = Bundle.open(bundle.path)
    (engine,) = opened.manifest.engines
    mixed = engine.model_copy(update={"high_precision": ("decoder/stage1", "teacher/stem")})
    opened.save_with(opened.manifest.model_copy(update={"engines": (mixed,)}))
    assert "not in INT8  decoder/stage1, teacher/stem" in edgerd("show", bundle.path).out


def test_what_tensorrt_made_of_the_layers(edgerd, bundle):
    edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32")
    assert "layers:" not in edgerd("show", bundle.path).out
    layers = (
        Layer(name="conv1", kind="CaskConvolution", inputs=("int8",), ms=0.2),
        Layer(name="conv2", kind="CaskConvolution", inputs=("fp16",), ms=0.1),
        Layer(name="Reformatting 1", kind="Reformat", inputs=("fp16",), ms=0.3),
    )
    record = BuildRecord(options=BuildOptions(), build_s=60.0, layers=LayerReport(precision="int8", layers=layers))
    opened = Bundle.open(bundle.path)
    (engine,) = opened.manifest.engines
    name = "engines/tensorrt-int8/build.json"
    theirs = engine.model_copy(update={"files": (*engine.files, name)})
    opened.save_with(opened.manifest.model_copy(update={"engines": (theirs,)}), {name: record.to_bytes()})
    shown = edgerd("show", bundle.path).out
    assert "3 layers: 2 fp16, 1 int8" in shown
    assert "1 only change formats: Reformatting 1" in shown
    assert "1 convolutions are not INT8: conv2" in shown
    assert "0.200 ms" not in shown


def test_a_bundle_that_is_as_it_was_written(edgerd, bundle):
    result = edgerd("show", bundle.path, "--verify")
    assert result.exit_code == 0
    assert f"All {len(bundle.manifest.files)} files are as they were written." in result.out


def test_a_changed_byte_in_any_file(edgerd, bundle):
    names = sorted(bundle.manifest.files)
    for name in ["bundle.json", "graph.fp32.onnx", names[-1]]:
        file = bundle.path / name
        content = file.read_bytes()
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        file.write_bytes(changed)
        result = edgerd("show", bundle.path, "--verify")
        assert result.exit_code == 3, name
        assert name in result.err
        file.write_bytes(content)


def test_a_newer_schema(edgerd, bundle):
    file = bundle.path / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 2}))
    result = edgerd("show", bundle.path)
    assert result.exit_code == 3
    assert "pip install --upgrade edgerd" in result.err


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "pictures/../../secret"])
def test_a_path_that_leaves_it(edgerd, bundle, name):
    record = FileRecord(sha256="0" * 64, n_bytes=1)
    manifest = bundle.manifest.model_copy(update={"files": bundle.manifest.files | {name: record}})
    (bundle.path / "bundle.json").write_bytes(sealed(manifest))
    result = edgerd("show", bundle.path)
    assert result.exit_code == 3
    assert "leaves the bundle" in result.err


def test_no_bundle_there(edgerd, tmp_path):
    result = edgerd("show", tmp_path)
    assert result.exit_code == 3
    assert f"There is no bundle at {tmp_path}" in result.err
