"""INT8 the whole way: from the bundle's range pictures to an engine that the gate let through, or refused."""

from __future__ import annotations

import shutil

import onnx
import pytest
from building_parts import Heard

from edgerd.building.engine import build_engine
from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.calibration.calibrate import calibrate
from edgerd.errors import BundleDamagedError, BundleError, EngineMismatchError
from edgerd.precision.preset import PartPreset, Preset
from edgerd.precision.quantize import int8_graph_file
from edgerd.precision.ranges import RANGES_FILE
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.machine import int8_flavour

FLAVOUR = int8_flavour()
TYPED_FILE = f"graph.int8.{FLAVOUR}.onnx"

pytestmark = pytest.mark.skipif(not FLAVOUR, reason="this CPU has no fast INT8")
WITH_INT8 = [name for name in RUNTIMES if "int8" in load_runtime(name).probe().precisions]


@pytest.fixture(scope="module")
def _built(_exported, tmp_path_factory):
    path = shutil.copytree(_exported, tmp_path_factory.mktemp("built") / "bundle")
    return build_engine(Bundle.open(path), runtime="onnxruntime", precision="int8").bundle.path


@pytest.fixture
def built(_built, tmp_path) -> Bundle:
    """With an INT8 engine for ONNX Runtime; a copy."""
    return Bundle.open(shutil.copytree(_built, tmp_path / "built"))


@pytest.mark.parametrize("runtime", WITH_INT8)
def test_it_passes_the_gate_is_installed_and_used(bundle, runtime):
    built = build_engine(bundle, runtime=runtime, precision="int8")
    gate, key = built.chosen.gate, built.chosen.key
    assert gate.passed
    assert gate.max_map_error < 0.1 * bundle.manifest.threshold.value
    assert gate.score_rank_correlation > 0.9
    assert gate.verdicts_flipped == 0
    again = Bundle.open(bundle.path)
    assert again.verify() == len(again.manifest.files)
    assert {built.chosen.graph, RANGES_FILE} <= set(again.manifest.files)
    assert built.chosen.graph == int8_graph_file(load_runtime(runtime).probe().int8_flavour)
    assert key.graph_sha256 == again.manifest.files[built.chosen.graph].sha256
    with open_engine(again) as opened:
        assert opened.engine.key == key
        assert opened.threshold == built.chosen.threshold


def test_auto_tries_it_with_the_first_block_left_as_it_is(bundle):
    tried = build_engine(bundle, runtime="onnxruntime").candidates
    assert {c.precision for c in tried} == {"fp32", "int8"}
    (int8,) = (c for c in tried if c.precision == "int8")
    assert int8.high_precision == int8.record.high_precision == ("teacher/stage1.0",)


def test_a_graph_of_another_preset_goes_with_the_last_engine_that_was_compiled_from_it(built):
    def graphs(bundle):
        return {name for name in bundle.manifest.files if name.startswith("graph.int8.")}

    presets = [Preset(n_pictures=8), Preset(n_pictures=9)]
    first, second = (
        build_engine(Bundle.open(built.path), runtime="onnxruntime", precision="int8", preset=preset, force=True)
        for preset in presets
    )
    assert graphs(first.bundle) == {TYPED_FILE, first.chosen.graph}
    assert graphs(second.bundle) == {TYPED_FILE, second.chosen.graph}
    assert first.chosen.graph != second.chosen.graph
    assert second.bundle.read(RANGES_FILE) == built.read(RANGES_FILE)


def test_the_record_names_the_blocks_of_the_graph_that_was_taken(built):
    other = Preset(parts={"decoder": PartPreset(precision="high")})
    graph = typed_graph(built, "int8", FLAVOUR, other)
    quantized = built.save_with(built.manifest, {TYPED_FILE: graph.content})
    told_nothing = build_engine(quantized, runtime="onnxruntime", precision="int8")
    assert told_nothing.chosen.graph == TYPED_FILE
    assert told_nothing.chosen.high_precision == ("teacher/stage1.0", "decoder")
    default = build_engine(told_nothing.bundle, runtime="onnxruntime", precision="int8", preset=Preset())
    assert default.chosen.high_precision == ("teacher/stage1.0",)


def test_auto_does_without_it_where_there_are_no_pictures_for_ranges(bundle):
    heard = Heard()
    bare = bundle.save_with(bundle.manifest.model_copy(update={"ranges": ()}))
    built = build_engine(bare, runtime="onnxruntime", listener=heard)
    assert built.chosen.key.precision == "fp32"
    (line,) = map(str, heard.not_built)
    assert line.startswith("onnxruntime int8 is left out")
    assert "no pictures" in line


def test_another_device_builds_from_the_graph_in_the_bundle(built):
    bare = built.save_with(built.manifest.model_copy(update={"ranges": (), "engines": ()}))
    again = build_engine(bare, runtime="onnxruntime", precision="int8")
    assert again.chosen.key.graph_sha256 == built.manifest.files[TYPED_FILE].sha256


def test_another_flavour_comes_from_the_same_ranges(built):
    without_pictures = built.save_with(built.manifest.model_copy(update={"ranges": ()}))
    other = typed_graph(without_pictures, "int8", "s8s8")
    assert onnx.load_from_string(other.content).graph.node
    assert other.new_files[RANGES_FILE] == built.read(RANGES_FILE)


def test_an_engine_of_another_typed_graph_is_refused(built):
    """Other ranges are another engine: what was compiled from the old ones must not run under the new."""
    model = onnx.load_from_string(built.read(TYPED_FILE))
    model.doc_string = "from other ranges"
    changed = built.save_with(built.manifest, {TYPED_FILE: model.SerializeToString()})
    with pytest.raises(EngineMismatchError, match="graph sha256"):
        open_engine(changed, "onnxruntime", "int8")
    with open_engine(changed) as opened:
        assert opened.engine.key.precision == "fp32"
        assert "instead of the default engine" in opened.why


def test_a_missing_typed_graph_is_a_damaged_bundle(built):
    (built.path / TYPED_FILE).unlink()
    with pytest.raises(BundleDamagedError, match=TYPED_FILE):
        open_engine(Bundle.open(built.path))


def test_calibrate_finds_its_threshold_again(built):
    done = calibrate(built, 0.2)
    assert done.outdated == ()
    (record,) = done.bundle.manifest.engines
    assert record.threshold.false_alarm_rate == 0.2


def test_without_range_pictures_it_says_how_to_get_some(bundle):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"ranges": ()}))
    with pytest.raises(BundleError, match="no pictures to find INT8 ranges from") as caught:
        build_engine(bare, precision="int8")
    assert "without --no-pictures" in str(caught.value)


def test_ranges_that_cannot_be_read_are_a_damaged_bundle(bundle):
    broken = bundle.save_with(bundle.manifest, {RANGES_FILE: b'{"graph_sha256": 7}'})
    with pytest.raises(BundleDamagedError, match=r"ranges\.json"):
        build_engine(broken, runtime="onnxruntime", precision="int8")


def test_fp32_engines_are_still_compiled_from_the_exported_graph(bundle):
    built = build_engine(bundle, runtime="onnxruntime", precision="fp32")
    assert built.chosen.graph == GRAPH_FILE
    assert set(built.bundle.manifest.files) - set(bundle.manifest.files) == set(built.chosen.files)
