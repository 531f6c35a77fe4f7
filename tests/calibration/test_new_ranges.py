"""Other range pictures in a bundle: nothing on disk before a save, nothing of the old ones after it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from gate_parts import passed_gate

from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, EngineKey, EngineRecord
from edgerd.calibration.new_ranges import engines_of_older_graphs, with_older_graphs, with_range_pictures
from edgerd.calibration.range_pictures import RangePictures
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import BundleError
from edgerd.precision.ranges import RANGES_FILE, Ranges
from edgerd.runtimes.choose import open_engine

ANOTHER = "graph.fp16.trt.onnx"


def engine_of(bundle: Bundle, graph: str, runtime: str, default: bool = False) -> EngineRecord:
    sha256 = bundle.manifest.files[graph].sha256
    key = EngineKey(runtime=runtime, runtime_version="1", precision="int8", device="here", graph_sha256=sha256)
    threshold = bundle.manifest.threshold
    return EngineRecord(key=key, files=(), graph=graph, threshold=threshold, gate=passed_gate(), default=default)


@pytest.fixture(scope="module")
def _used(_exported, tmp_path_factory) -> Path:
    bundle = Bundle.open(shutil.copytree(_exported, tmp_path_factory.mktemp("used") / "bundle"))
    graph = typed_graph(bundle, "int8", "u8s8")
    files = {**graph.new_files, "graph.int8.trt.onnx": b"for TensorRT", ANOTHER: b"FP16"}
    saved = bundle.save_with(bundle.manifest, files)
    engines = (engine_of(saved, graph.file, "onnxruntime", default=True), engine_of(saved, ANOTHER, "tensorrt"))
    return saved.save_with(saved.manifest.model_copy(update={"engines": engines})).path


@pytest.fixture
def used(_used, tmp_path) -> Bundle:
    """With the ranges of its own pictures, two INT8 graphs and an FP16 one, and a default engine of the first."""
    return Bundle.open(shutil.copytree(_used, tmp_path / "used"))


@pytest.fixture
def found(used) -> RangePictures:
    """The bundle's first ten range pictures, a little brighter."""
    own = load_bundle_pictures(used, used.manifest.ranges, used.manifest.preprocess)[:10]
    pictures = np.clip(own.astype(int) + 9, 0, 255).astype(np.uint8)
    return RangePictures(tuple(f"{k}.png" for k in range(10)), pictures, np.zeros((10, 4), np.float32))


def test_on_disk_nothing_changes_before_a_save(used, found):
    before = {file: file.read_bytes() for file in used.path.rglob("*") if file.is_file()}
    unsaved = with_range_pictures(used, found)
    own = load_bundle_pictures(unsaved, unsaved.manifest.ranges, unsaved.manifest.preprocess)
    assert np.array_equal(own, found.pictures)
    assert unsaved.read(GRAPH_FILE) == used.read(GRAPH_FILE)
    assert {file: file.read_bytes() for file in used.path.rglob("*") if file.is_file()} == before
    assert Bundle.open(used.path) == used


def test_graphs_are_made_from_the_new_pictures(used, found):
    old = Ranges.model_validate_json(used.read(RANGES_FILE))
    graph = typed_graph(with_range_pictures(used, found), "int8", "u8s8")
    ranges = Ranges.model_validate_json(graph.new_files[RANGES_FILE])
    assert (ranges.n_pictures, ranges.pictures_sha256 != old.pictures_sha256) == (10, True)
    assert graph.content != used.read(graph.file)


def test_saved_it_has_the_new_pictures_and_nothing_of_the_old_ones(used, found):
    unsaved = with_range_pictures(used, found)
    saved = unsaved.save_with(unsaved.manifest)
    assert Bundle.open(used.path) == saved
    ranges = load_bundle_pictures(saved, saved.manifest.ranges, saved.manifest.preprocess)
    assert np.array_equal(ranges, found.pictures)
    left = set(saved.manifest.files) - set(saved.manifest.holdout) - set(saved.manifest.ranges)
    older = f"engines/older/{used.manifest.engines[0].key.graph_sha256[:16]}.onnx"
    assert left == {GRAPH_FILE, ANOTHER, older}
    assert {str(f.relative_to(saved.path)) for f in saved.path.rglob("*.*")} == {*saved.manifest.files, "bundle.json"}
    assert saved.verify() == len(saved.manifest.files)


def test_an_engine_of_an_older_graph_stays_the_default_and_keeps_it(used, found):
    graph, unsaved = used.read("graph.int8.u8s8.onnx"), with_range_pictures(used, found)
    saved = unsaved.save_with(unsaved.manifest)
    first, second = saved.manifest.engines
    assert first.default
    assert saved.read(first.graph) == graph
    assert saved.manifest.files[first.graph].sha256 == first.key.graph_sha256
    assert second == used.manifest.engines[1]
    assert engines_of_older_graphs(saved.manifest) == ("onnxruntime int8",)
    again = with_range_pictures(saved, found)
    assert again.manifest.engines == saved.manifest.engines
    assert again.save_with(again.manifest).verify()


def test_an_older_graph_goes_with_its_engine(used, found):
    unsaved = with_range_pictures(used, found)
    without = unsaved.manifest.model_copy(update={"engines": unsaved.manifest.engines[1:]})
    assert not [name for name in unsaved.save_with(without).manifest.files if name.startswith("engines/")]


def test_an_engine_made_with_the_new_pictures_is_saved_with_them(used, found):
    unsaved = with_range_pictures(used, found)
    graph = typed_graph(unsaved, "int8", "u8s8")
    saved = unsaved.save_with(unsaved.manifest, graph.new_files)
    assert saved.read(graph.file) == graph.content
    assert Ranges.model_validate_json(saved.read(RANGES_FILE)).n_pictures == 10


def test_what_another_command_has_written_meanwhile_stays(used, found):
    unsaved = with_range_pictures(used, found)
    theirs = used.save_with(used.manifest.model_copy(update={"threshold": None}))
    with pytest.raises(BundleError, match="changed by another command"):
        unsaved.save_with(unsaved.manifest)
    assert Bundle.open(used.path) == theirs


def test_graphs_that_are_not_replaced_keep_their_name(used):
    manifest, files = with_older_graphs(used, ("graph.int8.trt.onnx",))
    assert (manifest, files) == (used.manifest, {})


def test_the_fp32_graph_runs_as_before(used, found):
    unsaved = with_range_pictures(used, found)
    with open_engine(unsaved, "onnxruntime", "fp32") as opened:
        assert np.isfinite(opened.engine.infer(found.pictures[0]).score).all()
