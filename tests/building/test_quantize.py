"""Typed graphs in a bundle: written on the workstation, built from on a device that has no quantizer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgerd.acceptance.scores import holdout_pictures
from edgerd.building.engine import build_engine
from edgerd.building.quantize import maps_as_written, quantize
from edgerd.building.typed_graph import DEVICE_FLAVOURS, graphs_for_devices, typed_graph
from edgerd.bundle.bundle import Bundle, bundle_id
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.errors import BundleDamagedError, BundleError, GateError, InputError, MissingDependencyError
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.lint import lint
from edgerd.precision.origin import origin_of
from edgerd.precision.preset import PartPreset, Preset
from edgerd.precision.ranges import RANGES_FILE, Ranges
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.machine import int8_flavour

TENSORRT = {"graph.fp16.trt.onnx", "graph.int8.trt.onnx"}
CPU = {f"graph.int8.{flavour}.onnx" for flavour in DEVICE_FLAVOURS}


def target_of(file: str) -> str:
    return "tensorrt" if file in TENSORRT else FLAVOURS[file.split(".")[2]].target


@pytest.fixture(scope="module")
def _quantized(_exported, tmp_path_factory) -> Path:
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    path = shutil.copytree(_exported, tmp_path_factory.mktemp("quantized") / "bundle")
    return quantize(Bundle.open(path)).bundle.path


@pytest.fixture
def quantized(_quantized, tmp_path) -> Bundle:
    return Bundle.open(shutil.copytree(_quantized, tmp_path / "quantized"))


def test_the_bundle_carries_every_graph_and_the_ranges(quantized, bundle):
    files = set(quantized.manifest.files)
    assert files - set(bundle.manifest.files) == TENSORRT | CPU | {RANGES_FILE}
    assert quantized.verify() == len(files)
    assert quantized.manifest.id == bundle.manifest.id
    assert quantized.read(GRAPH_FILE) == bundle.read(GRAPH_FILE)


def test_every_graph_keeps_the_rules_and_the_maps(quantized):
    good = holdout_pictures(quantized)
    reference = maps_as_written(quantized.read(GRAPH_FILE), good)
    largest = max(maps.anomaly_map.max() for maps in reference)
    for file in TENSORRT | CPU:
        content = quantized.read(file)
        assert (origin_of(content) is None) is ("fp16" in file)
        assert lint(content, target_of(file)) == ()
        given = maps_as_written(content, good)
        errors = [np.abs(a.anomaly_map - b.anomaly_map).max() for a, b in zip(given, reference, strict=True)]
        assert max(errors) < (0.01 if "fp16" in file else 0.1) * largest, file


def test_typed_graphs_are_taken_from_the_bundle(quantized):
    for precision, flavour, file in [
        ("fp16", "trt", "graph.fp16.trt.onnx"),
        ("int8", "trt", "graph.int8.trt.onnx"),
        ("int8", "u8s8", "graph.int8.u8s8.onnx"),
        ("fp32", "trt", GRAPH_FILE),
        ("fp16", "u8s8", "graph.fp16.trt.onnx"),
    ]:
        graph = typed_graph(quantized, precision, flavour)
        assert (graph.file, graph.content, graph.new_files) == (file, quantized.read(file), {})


def test_a_single_tensorrt_graph_is_made_where_the_bundle_has_none(bundle, quantized):
    made = typed_graph(bundle, "int8", "trt")
    assert made.content == quantized.read("graph.int8.trt.onnx")
    assert made.new_files == {made.file: made.content, RANGES_FILE: quantized.read(RANGES_FILE)}


DEVICE = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "modelopt", "nncf", "onnxscript", "safetensors", "scipy")))
from edgerd.building.engine import build_engine
from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
bundle = Bundle.open(sys.argv[1])
hashes = [typed_graph(bundle, precision, "trt").sha256 for precision in ("fp16", "int8")]
flavour = sys.argv[2]
if flavour:
    hashes.append(build_engine(bundle, runtime="onnxruntime", precision="int8").chosen.key.graph_sha256)
print(json.dumps(hashes))
"""


def test_a_device_without_torch_modelopt_and_nncf_builds_from_them(quantized):
    flavour = int8_flavour()
    bare = quantized.save_with(quantized.manifest.model_copy(update={"ranges": ()}))
    command = [sys.executable, "-c", DEVICE, str(bare.path), flavour]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    files = ["graph.fp16.trt.onnx", "graph.int8.trt.onnx", *([f"graph.int8.{flavour}.onnx"] if flavour else [])]
    after = Bundle.open(bare.path).manifest.files
    assert json.loads(ended.stdout) == [after[file].sha256 for file in files]


def test_a_preset_decides_on_ranges_pictures_and_parts(bundle):
    pytest.importorskip("modelopt")
    preset = Preset(method="minmax", n_pictures=8, parts={"decoder": PartPreset(precision="high")})
    files = graphs_for_devices(bundle, preset)
    ranges = Ranges.model_validate_json(files[RANGES_FILE])
    assert ranges.n_pictures == 8
    graph = onnx.load_from_string(files["graph.int8.trt.onnx"]).graph
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    scales = {n.input[0]: constants[n.input[1]] for n in graph.node if n.op_type == "QuantizeLinear"}
    assert "teacher_0" in scales
    dequantized = {n.name for n in graph.node if any(name.endswith("/dequantized") for name in n.input)}
    assert {name.split("/")[0] for name in dequantized} == {"teacher", "embedding"}
    found = ranges.tensors["teacher_0"]
    assert scales["teacher_0"] == pytest.approx(max(-found.low, found.high) / 127, rel=1e-3)


@pytest.mark.slow
def test_done_again_it_writes_the_same_bytes(quantized):
    again = quantize(quantized).bundle
    for file in (RANGES_FILE, *TENSORRT, *CPU):
        assert again.read(file) == quantized.read(file)


def test_done_again_engines_of_older_graphs_go_on_with_them(quantized, monkeypatch):
    if int8_flavour() not in DEVICE_FLAVOURS:
        pytest.skip("no INT8 graph of this CPU's flavour travels")
    stored = f"graph.int8.{int8_flavour()}.onnx"
    graphs = {file: quantized.read(file) for file in (stored, RANGES_FILE)}
    older = onnx.load_from_string(quantized.read(stored))
    older.doc_string = "from other ranges"
    changed = quantized.save_with(quantized.manifest, {stored: older.SerializeToString()})
    built = build_engine(changed, runtime="onnxruntime", precision="int8", force=True)
    monkeypatch.setattr("edgerd.building.quantize.graphs_for_devices", lambda *_: graphs)
    again = quantize(built.bundle)
    assert again.outdated == ("onnxruntime int8",)
    assert again.bundle.read(stored) == graphs[stored]
    with open_engine(again.bundle) as opened:
        assert opened.why == "onnxruntime int8: the default engine"


def unchanged(bundle: Bundle, before: bytes) -> bool:
    return (bundle.path / "bundle.json").read_bytes() == before


def test_ranges_of_another_graph_are_refused_and_nothing_is_changed(quantized):
    ranges = Ranges.model_validate_json(quantized.read(RANGES_FILE)).model_copy(update={"graph_sha256": "0" * 64})
    spoilt = quantized.save_with(quantized.manifest, {RANGES_FILE: ranges.model_dump_json().encode()})
    before = (spoilt.path / "bundle.json").read_bytes()
    with pytest.raises(InputError, match="collected on the graph 0000"):
        quantize(spoilt)
    assert unchanged(spoilt, before)


def test_ranges_that_cannot_be_read_are_a_damaged_bundle(quantized):
    spoilt = quantized.save_with(quantized.manifest, {RANGES_FILE: b"{}"})
    with pytest.raises(BundleDamagedError, match=r"ranges\.json"):
        quantize(spoilt)


def with_graph(bundle: Bundle, model: onnx.ModelProto) -> Bundle:
    content = model.SerializeToString()
    own = bundle_id(sha256(content).hexdigest(), bundle.manifest.preprocess)
    return bundle.save_with(bundle.manifest.model_copy(update={"id": own}), {GRAPH_FILE: content})


def test_an_old_opset_is_refused(bundle):
    pytest.importorskip("modelopt")
    model = onnx.load_from_string(bundle.read(GRAPH_FILE))
    model.opset_import[0].version = 18
    model.ir_version = 8
    with pytest.raises((InputError, BundleError), match="opset 18"):
        quantize(with_graph(bundle, model))


def test_a_graph_that_gives_nan_is_refused_by_its_name(bundle, monkeypatch):
    def one_broken(bundle, preset):
        return {"graph.fp16.trt.onnx": with_nan(bundle.read(GRAPH_FILE)), "other.onnx": bundle.read(GRAPH_FILE)}

    monkeypatch.setattr("edgerd.building.quantize.graphs_for_devices", one_broken)
    before = (bundle.path / "bundle.json").read_bytes()
    with pytest.raises(GateError, match=r"^graph\.fp16\.trt\.onnx gives NaN or infinity"):
        quantize(bundle)
    assert unchanged(bundle, before)


def test_a_student_that_gives_nan_is_refused_before_anything_is_made(bundle):
    spoilt = with_graph(bundle, onnx.load_from_string(with_nan(bundle.read(GRAPH_FILE))))
    with pytest.raises(GateError, match=r"^graph\.fp32\.onnx gives NaN or infinity"):
        quantize(spoilt)


def with_nan(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    bias = next(c for c in model.graph.initializer if c.name == last.input[2])
    bias.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(bias), np.nan), bias.name))
    content: bytes = model.SerializeToString()
    return content


def test_a_bundle_without_range_pictures_says_how_to_get_some(bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"ranges": ()}))
    with pytest.raises(BundleError, match="no pictures to find INT8 ranges from") as caught:
        quantize(bare)
    assert "without --no-pictures" in str(caught.value)


def test_a_bundle_without_pictures_says_how_to_get_them_before_the_work(bundle, monkeypatch):
    monkeypatch.setattr("edgerd.building.quantize.maps_as_written", lambda *_: pytest.fail("took its time"))
    bare = bundle.save_with(bundle.manifest.model_copy(update={"holdout": (), "ranges": ()}))
    with pytest.raises(BundleError, match="no pictures") as caught:
        quantize(bare)
    assert "edgerd export RUN" in caught.value.hint
    assert "calibrate" not in caught.value.hint  # which stores no pictures


def test_a_bundle_without_a_threshold_is_not_compared(bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"threshold": None}))
    with pytest.raises(BundleError, match="no threshold"):
        quantize(bare)


def test_without_modelopt_it_says_what_to_install_at_once(bundle, monkeypatch):
    for name in ("modelopt", "modelopt.onnx", "modelopt.onnx.autocast"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("edgerd.building.typed_graph.collect_ranges", lambda *_, **__: pytest.fail("took its time"))
    with pytest.raises(MissingDependencyError, match="ModelOpt") as caught:
        quantize(bundle)
    assert "edgerd[quantize]" in str(caught.value)
