"""The Q/DQ graph: the rules that make a runtime run it in INT8, and the numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgerd.errors import InputError
from edgerd.precision.body import is_body
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.quantise import quantised_graph
from edgerd.precision.ranges import Ranges, TensorRange, collect_ranges

every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


class Parsed:
    def __init__(self, content: bytes) -> None:
        self.model = onnx.load_from_string(content)
        self.nodes = list(self.model.graph.node)
        self.constants = {c.name: numpy_helper.to_array(c) for c in self.model.graph.initializer}
        self.made_by = {name: node for node in self.nodes for name in node.output}

    def of(self, operator: str) -> list[onnx.NodeProto]:
        return [node for node in self.nodes if node.op_type == operator]

    def source(self, node: onnx.NodeProto, index: int) -> str:
        made = self.made_by.get(node.input[index])
        return made.op_type if made else ""


@pytest.fixture(scope="module")
def quantised(graph, ranges):
    contents = {flavour: quantised_graph(graph, ranges, flavour) for flavour in FLAVOURS}
    return {flavour: Parsed(content) for flavour, content in contents.items()}


def maps(content: bytes, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["score", "anomaly_map"], {"frame": frames})


@every_flavour
def test_interface_and_opset_are_the_fp32_graphs(flavour, quantised, graph):
    made, exported = quantised[flavour].model, onnx.load_from_string(graph)
    assert made.graph.input == exported.graph.input
    assert made.graph.output == exported.graph.output
    assert made.opset_import == exported.opset_import


@every_flavour
def test_weights_are_int8_symmetric_per_output_channel(flavour, quantised):
    parsed, limit = quantised[flavour], FLAVOURS[flavour].weight_limit
    convolutions = [node for node in parsed.of("Conv") if is_body(node)]
    assert convolutions
    for node in convolutions:
        dequantise = parsed.made_by[node.input[1]]
        integers, scales, zeros = (parsed.constants[name] for name in dequantise.input)
        assert integers.dtype == zeros.dtype == np.int8
        assert np.abs(integers.astype(int)).max() <= limit
        assert not zeros.any()
        assert scales.shape == (len(integers),)
        assert [a.i for a in dequantise.attribute if a.name == "axis"] == [0]
        assert (scales > 0).all()


@every_flavour
def test_every_body_node_computes_on_integers(flavour, quantised):
    """Else a runtime falls back to FP32 for it, and the engine is slow without a word."""
    parsed = quantised[flavour]
    assert not parsed.of("ConvTranspose")
    computing = ("Conv", "Add", "Concat", "MaxPool", "DepthToSpace")
    for node in parsed.nodes:
        if is_body(node) and node.op_type in computing:
            assert {parsed.source(node, k) for k in range(len(node.input))} == {"DequantizeLinear"}, node.name


@every_flavour
def test_head_and_front_compute_in_float(flavour, quantised):
    parsed = quantised[flavour]
    for node in parsed.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert not node.name.startswith(("head/", "input/"))
            assert not node.input[0].startswith("head/")
    assert parsed.made_by["student_0"].op_type == "Relu"  # only the head reads it: not rounded


@every_flavour
def test_activations_have_the_flavours_type_and_a_bias_the_scale_of_the_sum(flavour, quantised):
    parsed = quantised[flavour]
    for node in parsed.of("QuantizeLinear"):
        assert parsed.constants[node.input[2]].dtype == FLAVOURS[flavour].activation
        assert parsed.constants[node.input[1]].shape == ()
    for node in parsed.of("Conv"):
        data, weight, bias = (parsed.made_by[name] for name in node.input)
        expected = parsed.constants[data.input[1]] * parsed.constants[weight.input[1]]
        np.testing.assert_allclose(parsed.constants[bias.input[1]], expected, rtol=1e-6)
        assert parsed.constants[bias.input[0]].dtype == np.int32


def test_pooling_and_spreading_keep_the_scale(quantised):
    parsed = quantised["u8s8"]
    moved = [*parsed.of("MaxPool"), *parsed.of("DepthToSpace")]
    assert moved
    for node in moved:
        before = parsed.made_by[node.input[0]]
        after = next(n for n in parsed.of("QuantizeLinear") if n.input[0] == node.output[0])
        assert parsed.constants[before.input[1]] == parsed.constants[after.input[1]]


@every_flavour
def test_maps_stay_close_to_fp32_for_any_batch(flavour, graph, ranges, pictures):
    content, frames = quantised_graph(graph, ranges, flavour), pictures[:8, 0]
    score, anomaly_map = maps(content, frames)
    expected_score, expected = maps(graph, frames)
    assert np.abs(anomaly_map - expected).max() < 0.05 * expected.max()
    assert np.corrcoef(anomaly_map.ravel(), expected.ravel())[0, 1] > 0.998
    np.testing.assert_allclose(score, expected_score, rtol=0.03)


def test_a_channel_that_batchnorm_switched_off_keeps_its_bias(graph, ranges, pictures):
    """Weights near zero and a bias: the bias in steps of the weights' scale would not fit into 32 bits."""
    model = onnx.load_from_string(graph)
    constants = {constant.name: constant for constant in model.graph.initializer}
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    weight = numpy_helper.to_array(constants[first.input[1]]).copy()
    bias = numpy_helper.to_array(constants[first.input[2]]).copy()
    weight[0], bias[0] = 1e-12, 1.5
    for name, value in zip(first.input[1:], (weight, bias), strict=True):
        constants[name].CopyFrom(numpy_helper.from_array(value, name))
    dead = model.SerializeToString()
    content = quantised_graph(dead, collect_ranges(dead, pictures[:8]), "u8s8")
    given, expected = maps(content, pictures[:4, 0]), maps(dead, pictures[:4, 0])
    assert np.abs(given[1] - expected[1]).max() < 0.1 * expected[1].max()


def test_ranges_of_another_graph_are_refused(graph, ranges):
    other = ranges.model_copy(update={"graph_sha256": "0" * 64})
    with pytest.raises(InputError, match="collected on the graph 0000"):
        quantised_graph(graph, other, "u8s8")


def test_the_same_ranges_give_the_same_bytes(graph, ranges):
    again = Ranges(**ranges.model_dump())
    assert quantised_graph(graph, again, "u8s8") == quantised_graph(graph, ranges, "u8s8")
    wider = TensorRange(low=0, high=100, counts=(0,) * 1023 + (1,))
    other = ranges.model_copy(update={"tensors": ranges.tensors | {"teacher_0": wider}})
    assert quantised_graph(graph, other, "u8s8") != quantised_graph(graph, ranges, "u8s8")
