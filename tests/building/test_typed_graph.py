"""Which graph INT8 is built from: what `quantize` wrote, for who says nothing; else one of just what was said."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import onnx
import pytest

from edgerd.building.engine import graphs_of
from edgerd.building.typed_graph import typed_graph, unused_variants
from edgerd.bundle.bundle import Bundle
from edgerd.errors import MissingDependencyError
from edgerd.precision.preset import PartPreset, Preset
from edgerd.precision.ranges import RANGES_FILE, Ranges

USUAL = "graph.int8.u8s8.onnx"
BLOCKS = ("teacher/stage1.0",)
OTHER = Preset(method="mse", parts={"decoder": PartPreset(precision="high")})


@pytest.fixture(scope="module")
def made(_exported, tmp_path_factory) -> tuple[Path, bytes, bytes]:
    """A bundle with ranges, its usual graph, and that of another preset."""
    bundle = Bundle.open(shutil.copytree(_exported, tmp_path_factory.mktemp("typed") / "bundle"))
    usual = graphs_of(bundle)("int8", "u8s8", None)
    saved = bundle.save_with(bundle.manifest, {RANGES_FILE: usual.new_files[RANGES_FILE]})
    return saved.path, usual.content, typed_graph(saved, "int8", "u8s8", OTHER).content


@pytest.fixture
def with_ranges(made, tmp_path) -> Bundle:
    return Bundle.open(shutil.copytree(made[0], tmp_path / "bundle"))


@pytest.fixture
def quantized(made, with_ranges) -> Bundle:
    """As `edgerd quantize --preset` leaves it: the usual name, and what another preset says."""
    return with_ranges.save_with(with_ranges.manifest, {USUAL: made[2]})


def test_who_says_nothing_gets_the_graph_that_is_there_and_the_blocks_that_it_leaves_out(quantized, made):
    graph = typed_graph(quantized, "int8", "u8s8")
    assert (graph.file, graph.content, graph.new_files) == (USUAL, made[2], {})
    assert graph.high_precision == (*BLOCKS, "decoder")


def test_a_preset_equal_to_the_default_is_not_taken_for_what_another_preset_wrote(quantized, made):
    graph = typed_graph(quantized, "int8", "u8s8", Preset())
    assert graph.content == made[1]
    assert graph.file != USUAL
    assert graph.high_precision == BLOCKS


def test_nor_are_blocks_that_a_search_asks_for(quantized, made):
    assert typed_graph(quantized, "int8", "u8s8", high_precision=BLOCKS).content == made[1]


def test_the_same_preset_takes_what_is_there(quantized, made):
    graph = typed_graph(quantized, "int8", "u8s8", OTHER)
    assert (graph.file, graph.new_files) == (USUAL, {})
    assert graph.high_precision == (*BLOCKS, "decoder")


def test_a_graph_that_does_not_say_what_it_was_written_with(quantized, made):
    """Written by an earlier version: good for who says nothing, and for nobody else."""
    model = onnx.load_from_string(made[1])
    del model.metadata_props[:]
    silent = quantized.save_with(quantized.manifest, {USUAL: model.SerializeToString()})
    assert typed_graph(silent, "int8", "u8s8").high_precision == BLOCKS
    assert typed_graph(silent, "int8", "u8s8", Preset()).file != USUAL


def test_ranges_from_another_number_of_pictures_leave_the_bundles_own(with_ranges):
    graph = typed_graph(with_ranges, "int8", "u8s8", Preset(n_pictures=8))
    assert set(graph.new_files) == {graph.file}
    saved = with_ranges.save_with(with_ranges.manifest, graph.new_files)
    assert Ranges.model_validate_json(saved.read(RANGES_FILE)).n_pictures == len(saved.manifest.ranges) > 8


def test_variants_that_no_engine_names_are_known_by_their_names(bundle):
    named = ("graph.int8.trt.0123abcd.onnx", "graph.int8.u8s8-fused.89abcdef.onnx")
    usual = ("graph.int8.trt.onnx", "graph.int8.u8s8-fused.onnx", "graph.fp16.trt.onnx", RANGES_FILE)
    saved = bundle.save_with(bundle.manifest, dict.fromkeys((*named, *usual), b"graph"))
    assert set(unused_variants(saved.manifest)) == set(named)


def test_where_modelopt_is_missing_it_is_said_before_ranges_are_collected(bundle, monkeypatch):
    for name in ("modelopt", "modelopt.onnx", "modelopt.onnx.autocast"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("edgerd.building.typed_graph.collect_ranges", lambda *_, **__: pytest.fail("took its time"))
    with pytest.raises(MissingDependencyError, match="ModelOpt"):
        typed_graph(bundle, "int8", "trt")
