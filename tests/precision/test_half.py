"""FP16 by AutoCast: the networks in FP16, the head and the interface as they were."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from parsed_graphs import literal_outputs

from edgerd.errors import InputError, MissingDependencyError
from edgerd.precision.body import is_body
from edgerd.precision.half import half_graph
from edgerd.precision.lint import lint
from edgerd.precision.tensorrt import tensorrt_int8_graph


@pytest.fixture(scope="module")
def graphs(graph, ranges, pictures):
    """By precision: the graph before FP16, and the FP16 graph that is made of it."""
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    int8 = tensorrt_int8_graph(graph, ranges)
    return {"fp16": (graph, half_graph(graph, pictures)), "int8": (int8, half_graph(int8, pictures))}


both = pytest.mark.parametrize("precision", ["fp16", "int8"])


@both
def test_no_rule_is_broken(graphs, precision):
    assert lint(graphs[precision][1], "tensorrt") == ()


@both
def test_interface_and_nodes_stay_and_casts_stand_at_the_borders(graphs, precision):
    before, after = (onnx.load_from_string(content) for content in graphs[precision])
    assert after.graph.input == before.graph.input
    assert after.graph.output == before.graph.output
    assert after.opset_import == before.opset_import
    own = {node.name for node in before.graph.node}
    assert [n.name for n in after.graph.node if n.name in own] == [n.name for n in before.graph.node]
    features = {f"{side}_{scale}" for side in ("teacher", "student") for scale in range(3)}
    assert {n.input[0] for n in after.graph.node if n.name not in own} == {"centred"} | features


@both
def test_weights_biases_and_scales_are_fp16_or_int8(graphs, precision):
    model = onnx.load_from_string(graphs[precision][1])
    constants = {c.name: c.data_type for c in model.graph.initializer}
    for node in model.graph.node:
        found = {constants[name] for name in node.input if name in constants}
        if node.name.startswith(("head/", "input/")):
            assert TensorProto.FLOAT16 not in found, node.name
        elif is_body(node):
            assert found <= {TensorProto.FLOAT16, TensorProto.INT8}, node.name


def test_integers_and_scales_are_the_ones_that_were_chosen(graphs):
    before, after = (constants_of_pairs(content) for content in graphs["int8"])
    assert before
    assert list(before) == list(after)
    for name, values in before.items():
        for was, now in zip(values, after[name], strict=True):
            np.testing.assert_array_equal(now.astype(np.float32), was.astype(np.float32))


def constants_of_pairs(content: bytes) -> dict[str, list[np.ndarray]]:
    """The values of each Q and DQ node's constants, by the node's name: the constants' own names may differ."""
    graph = onnx.load_from_string(content).graph
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    return {
        node.name: [constants[name] for name in node.input if name in constants]
        for node in graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    }


@both
def test_the_numbers_stay(graphs, pictures, precision):
    before, after = (literal_outputs(content, pictures[:4, 0])[1] for content in graphs[precision])
    assert np.isfinite(after).all()
    # INT8: a value on the edge of two steps falls to the other side
    assert np.abs(after - before).max() < {"fp16": 0.005, "int8": 0.05}[precision] * before.max()


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes_in_every_process(graphs, pictures, tmp_path):
    """AutoCast goes through sets of names, whose order is another in every process."""
    (tmp_path / "graph.onnx").write_bytes(graphs["int8"][0])
    np.save(tmp_path / "pictures.npy", pictures)
    code = (
        "import sys, numpy, hashlib; from pathlib import Path; from edgerd.precision.half import half_graph; "
        "f = Path(sys.argv[1]); g = half_graph((f / 'graph.onnx').read_bytes(), numpy.load(f / 'pictures.npy')); "
        "(f / 'again.onnx').write_bytes(g)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")  # and says nothing
    assert (tmp_path / "again.onnx").read_bytes() == graphs["int8"][1]


def test_values_that_pictures_drive_out_of_range_stay_fp32(graphs, graph, pictures):
    model = onnx.load_from_string(graph)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    constant = next(c for c in model.graph.initializer if c.name == first.input[1])
    loud = numpy_helper.to_array(constant) * np.float32(1e4)
    constant.CopyFrom(numpy_helper.from_array(loud, constant.name))
    after = onnx.load_from_string(half_graph(model.SerializeToString(), pictures))
    weights = {c.name: c.data_type for c in after.graph.initializer}
    assert weights[first.input[1]] == TensorProto.FLOAT


def test_without_pictures_it_says_how_to_get_some(graph, pictures):
    with pytest.raises(InputError, match="no pictures to write FP16 by"):
        half_graph(graph, pictures[:0])


def test_without_modelopt_it_says_what_to_install(graph, pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "modelopt.onnx.autocast", None)
    monkeypatch.setitem(sys.modules, "modelopt", None)
    with pytest.raises(MissingDependencyError) as caught:
        half_graph(graph, pictures)
    assert caught.value.exit_code == 6
    assert 'pip install "edgerd[quantize]"' in str(caught.value)
