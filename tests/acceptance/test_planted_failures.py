"""Faults of low precision, planted in graphs: each is refused with its reason, and the bundle is not changed."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgerd.building.candidates import GraphSource
from edgerd.building.engine import build_engine, graphs_of
from edgerd.building.typed_graph import TypedGraph
from edgerd.bundle.bundle import Bundle
from edgerd.errors import BundleError, GateError
from edgerd.precision.ranges import RANGES_FILE, Ranges
from edgerd.runtimes import load_runtime

FLAVOUR = load_runtime("onnxruntime").probe().int8_flavour
needs_int8 = pytest.mark.skipif(not FLAVOUR, reason="this CPU has no fast INT8")

Edit = Callable[[onnx.GraphProto], None]


@pytest.fixture(scope="module")
def _with_ranges(_exported, tmp_path_factory) -> Path:
    """Ranges are collected once; graphs are made from them in each test."""
    bundle = Bundle.open(shutil.copytree(_exported, tmp_path_factory.mktemp("ranges") / "bundle"))
    graph = graphs_of(bundle)("int8", "u8s8", ())
    return bundle.save_with(bundle.manifest, {RANGES_FILE: graph.new_files[RANGES_FILE]}).path


@pytest.fixture
def bundle(_with_ranges, tmp_path) -> Bundle:
    return Bundle.open(shutil.copytree(_with_ranges, tmp_path / "bundle"))


def digests(bundle: Bundle) -> dict[str, str]:
    files = (file for file in bundle.path.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def edited(bundle: Bundle, edit: Edit, all_int8: bool = False) -> GraphSource:
    """The bundle's typed graphs with a fault; with every block in INT8, or with the usual ones in float."""
    graph_of = graphs_of(bundle)

    def spoilt(precision: str, int8_flavour: str, high_precision: tuple[str, ...] | None) -> TypedGraph:
        graph = graph_of(precision, int8_flavour, () if all_int8 else high_precision)
        model = onnx.load_from_string(graph.content)
        edit(model.graph)
        return TypedGraph(graph.file, model.SerializeToString())

    return spoilt


def change(graph: onnx.GraphProto, ending: str, how: Callable[[np.ndarray], None]) -> None:
    """Edit the first constant with such a name that has several channels."""
    constant = next(c for c in graph.initializer if c.name.endswith(ending) and c.dims and c.dims[0] > 1)
    values = numpy_helper.to_array(constant).copy()
    how(values)
    constant.CopyFrom(numpy_helper.from_array(values, constant.name))


def swap_two_channels(graph: onnx.GraphProto) -> None:
    """Of the finest features, the two whose weights differ most; their scales and biases stay where they are."""

    def swap(weight: np.ndarray) -> None:
        order = np.argsort(weight.reshape(len(weight), -1).astype(np.float64).sum(axis=1))
        weight[[order[0], order[-1]]] = weight[[order[-1], order[0]]]

    is_int8 = any("integers" in constant.name for constant in graph.initializer)
    change(graph, "heads.0.weight/integers" if is_int8 else "heads.0.weight", swap)


def one_nan_weight(graph: onnx.GraphProto) -> None:
    change(graph, "weight", lambda weight: weight.put(0, np.nan))


def one_nan_scale(graph: onnx.GraphProto) -> None:
    change(graph, "weight/scale", lambda scale: scale.put(0, np.nan))


def refusal(bundle: Bundle, precision: str, **options: Any) -> str:
    """Build an engine that must be refused, and return the error; no byte of the bundle may change."""
    before = digests(bundle)
    with pytest.raises(GateError) as caught:
        build_engine(bundle, runtime="onnxruntime", precision=precision, **options)
    assert caught.value.exit_code == 5
    assert digests(bundle) == before
    return str(caught.value)


@needs_int8
def test_saturated_ranges(bundle):
    """Every activation is said to stay below a tenth of what it reaches."""
    ranges = Ranges.model_validate_json(bundle.read(RANGES_FILE))
    tenth = {
        name: found.model_copy(update={"low": found.low / 10, "high": found.high / 10})
        for name, found in ranges.tensors.items()
    }
    content = ranges.model_copy(update={"tensors": tenth}).model_dump_json()
    spoilt = bundle.save_with(bundle.manifest, {RANGES_FILE: content.encode()})
    said = refusal(spoilt, "int8")
    assert re.search(r"largest map error: \d\.\d+; at most 0\.\d+", said)
    for next_step in ("--precision auto", "calibration/collect.py", "edgerd train DATA -o RUN --resume --quantize"):
        assert next_step in said


@needs_int8
def test_two_swapped_channels(bundle):
    said = refusal(bundle, "int8", graph_of=edited(bundle, swap_two_channels))
    assert "mean map error" in said


def test_a_nan_weight(bundle):
    said = refusal(bundle, "fp32", graph_of=edited(bundle, one_nan_weight))
    assert re.search(r"weights with NaN or inf: 1; at most 0 \(.*weight\)", said)
    assert "maps with NaN or inf: 58; at most 0" in said
    assert "--quantize" not in said


@needs_int8
@pytest.mark.parametrize("edit", [one_nan_weight, one_nan_scale])
def test_a_nan_that_quantization_hides(bundle, edit):
    """QuantizeLinear makes an integer of NaN: the maps are finite, and a channel is dead."""
    said = refusal(bundle, "int8", graph_of=edited(bundle, edit, all_int8=True))
    assert re.search(r"weights with NaN or inf: 1; at most 0 \(", said)
    assert "maps with NaN" not in said


def test_too_few_pictures_to_judge_by(bundle):
    few = bundle.save_with(bundle.manifest.model_copy(update={"holdout": bundle.manifest.holdout[:5], "ranges": ()}))
    assert "good pictures: 5; at least 8 (fewer cannot show whether verdicts flip)" in refusal(few, "fp32")


@needs_int8
def test_too_few_pictures_to_find_ranges_from(bundle):
    few = bundle.save_with(bundle.manifest.model_copy(update={"ranges": bundle.manifest.ranges[:7]}))
    before = digests(few)
    with pytest.raises(BundleError, match="7 pictures to find INT8 ranges from") as caught:
        build_engine(few, runtime="onnxruntime", precision="int8")
    assert "8 range pictures or more" in str(caught.value)
    assert digests(few) == before


def test_force_records_what_was_wrong(bundle):
    forced = build_engine(
        bundle, runtime="onnxruntime", precision="fp32", graph_of=edited(bundle, swap_two_channels), force=True
    )
    (record,) = Bundle.open(bundle.path).manifest.engines
    assert record.gate.forced
    assert record.gate.failures
    assert record == forced.chosen


def test_no_force_installs_what_has_no_threshold(bundle):
    assert "maps with NaN" in refusal(bundle, "fp32", graph_of=edited(bundle, one_nan_weight), force=True)
