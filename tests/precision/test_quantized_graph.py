"""The Q/DQ graph: the rules that make a runtime run it in INT8, and the numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from parsed_graphs import Parsed

from edgerd.errors import InputError
from edgerd.precision.body import blocks, first_block, first_stage, is_body
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.preset import PartPreset, Preset
from edgerd.precision.quantize import quantized_graph
from edgerd.precision.ranges import Ranges, TensorRange, collect_ranges

COMPUTING = ("Conv", "Add", "Concat", "MaxPool", "DepthToSpace")
every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


@pytest.fixture(scope="module")
def quantized(graph, ranges):
    contents = {flavour: quantized_graph(graph, ranges, flavour) for flavour in FLAVOURS}
    return {flavour: Parsed(content) for flavour, content in contents.items()}


def maps(content: bytes, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["score", "anomaly_map"], {"frame": frames})


@every_flavour
def test_interface_and_opset_are_the_fp32_graphs(flavour, quantized, graph):
    made, exported = quantized[flavour].model, onnx.load_from_string(graph)
    assert made.graph.input == exported.graph.input
    assert made.graph.output == exported.graph.output
    assert made.opset_import == exported.opset_import


@every_flavour
def test_weights_are_int8_symmetric_per_output_channel(flavour, quantized):
    parsed, limit = quantized[flavour], FLAVOURS[flavour].weight_limit
    convolutions = parsed.of("Conv")[1:]
    assert convolutions
    for node in convolutions:
        dequantize = parsed.made_by[node.input[1]]
        integers, scales, zeros = (parsed.constants[name] for name in dequantize.input)
        assert integers.dtype == zeros.dtype == np.int8
        assert np.abs(integers.astype(int)).max() <= limit
        assert not zeros.any()
        assert scales.shape == (len(integers),)
        assert [a.i for a in dequantize.attribute if a.name == "axis"] == [0]
        assert (scales > 0).all()


@every_flavour
def test_every_body_node_computes_on_integers(flavour, quantized):
    """Otherwise a runtime silently computes it in FP32, and the engine is slow."""
    parsed = quantized[flavour]
    assert not parsed.of("ConvTranspose")
    first, *rest = (n for n in parsed.nodes if is_body(n) and n.op_type in COMPUTING)
    assert parsed.integers_at(first) == [False] * 3, first.name  # the picture is 8 bits already, and shifted
    for node in rest:
        if node.op_type == "Add" and FLAVOURS[flavour].fused_sums:
            assert sorted(parsed.integers_at(node)) == [False, True], node.name
        else:
            assert all(parsed.integers_at(node)), node.name


@every_flavour
def test_of_a_fused_sum_the_shortcut_is_an_integer(flavour, quantized):
    parsed = quantized[flavour]
    for node in parsed.of("Add"):
        if is_body(node) and FLAVOURS[flavour].fused_sums:
            summed = parsed.made_by[node.input[parsed.integers_at(node).index(False)]]
            assert summed.name.rpartition("/")[0].endswith(("conv2", "project")), node.name


@every_flavour
def test_blocks_in_high_precision_read_and_compute_in_float(flavour, graph, ranges, pictures):
    kept = ("decoder/stage1", "teacher/stage1.0", "teacher/stage3.0")
    content = quantized_graph(graph, ranges, flavour, high_precision=kept)
    parsed = Parsed(content)
    for node in parsed.nodes:
        if node.name.startswith(kept) and node.op_type in COMPUTING:
            assert not any(parsed.integers_at(node)), node.name
    assert sum(any(parsed.integers_at(node)) for node in parsed.of("Conv")) > 5
    frames = pictures[:4, 0]
    expected, all_int8 = maps(graph, frames)[1], maps(quantized_graph(graph, ranges, flavour), frames)[1]
    assert np.abs(maps(content, frames)[1] - expected).mean() < np.abs(all_int8 - expected).mean()


@every_flavour
def test_a_block_whose_number_begins_alike_is_another(flavour, graph, ranges):
    """teacher/stage2.0 in high precision does not include teacher/stage2.01."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.name = node.name.replace("teacher/stage3.0", "teacher/stage2.01")
    renamed = model.SerializeToString()
    own = ranges.model_copy(update={"graph_sha256": hashlib.sha256(renamed).hexdigest()})
    parsed = Parsed(quantized_graph(renamed, own, flavour, high_precision=("teacher/stage2.0",)))
    computing = {
        kept: [n for n in parsed.of("Conv") if n.name.startswith(kept)]
        for kept in ("teacher/stage2.0.", "teacher/stage2.01.")
    }
    assert all(computing.values())
    assert not any(any(parsed.integers_at(node)) for node in computing["teacher/stage2.0."])
    assert all(all(parsed.integers_at(node)[:2]) for node in computing["teacher/stage2.01."])


@every_flavour
def test_what_only_moves_values_goes_with_what_reads_them(flavour, pooled_graph, pooled_ranges):
    """A pooling or concatenation in INT8 before a block in high precision would round what it is given."""
    kept = ("teacher/layer1.0", "embedding/embedding.0")
    some = Parsed(quantized_graph(pooled_graph, pooled_ranges, flavour, high_precision=kept))
    usual = Parsed(quantized_graph(pooled_graph, pooled_ranges, flavour))
    assert usual.of("MaxPool")
    assert not any(some.integers_at(node)[0] for node in (*some.of("MaxPool"), *some.of("Concat")))
    assert all(usual.integers_at(node)[0] for node in (*usual.of("MaxPool"), *usual.of("Concat")))


def test_blocks_are_the_numbered_modules_but_for_the_first_convolution(graph):
    model = onnx.load_from_string(graph).graph
    found = blocks(model)
    assert found[0] == "teacher/stage1.0"
    assert "teacher/stage5.2" in found
    assert {"embedding/down2.0", "decoder/stage3.0", "decoder/stage1.0"} <= set(found)
    convolutions = [n for n in model.node if is_body(n) and n.op_type in ("Conv", "ConvTranspose")]
    assert [n.name for n in convolutions if not n.name.startswith(found)] == [convolutions[0].name]
    assert first_block(model) == found[:1]
    assert first_stage(model) == ("teacher/stage1",)


@every_flavour
def test_all_in_high_precision_is_the_fp32_graph(flavour, graph, ranges, pictures):
    content = quantized_graph(graph, ranges, flavour, high_precision=("teacher", "embedding", "decoder"))
    assert not Parsed(content).of("QuantizeLinear")
    np.testing.assert_allclose(maps(content, pictures[:2, 0])[1], maps(graph, pictures[:2, 0])[1], atol=1e-5)


def test_a_preset_decides_for_its_part_alone(graph, ranges):
    preset = Preset(parts={"decoder": PartPreset(precision="high"), "teacher/stage2": PartPreset(method="mse")})
    usual, other = (
        Parsed(quantized_graph(graph, ranges, "u8s8")),
        Parsed(quantized_graph(graph, ranges, "u8s8", preset)),
    )
    assert not any(any(other.integers_at(n)) for n in other.of("Conv") if n.name.startswith("decoder"))
    narrower = {
        name: [other.constants[scale] < usual.constants[scale] for scale in usual.scales_in(name)]
        for name in ("teacher/stage2", "teacher/stage3")
    }
    assert any(narrower["teacher/stage2"])
    assert not any(narrower["teacher/stage3"])


@every_flavour
def test_head_and_front_compute_in_float(flavour, quantized):
    parsed = quantized[flavour]
    for node in parsed.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert not node.name.startswith(("head/", "input/"))
            assert not node.input[0].startswith("head/")
        if not is_body(node):
            assert not any(parsed.integers_at(node)), node.name  # the features themselves, not as they were rounded


@every_flavour
def test_activations_have_the_flavours_type_and_a_bias_the_scale_of_the_sum(flavour, quantized):
    parsed = quantized[flavour]
    for node in parsed.of("QuantizeLinear"):
        assert parsed.constants[node.input[2]].dtype == FLAVOURS[flavour].activation
        assert parsed.constants[node.input[1]].shape == ()
    for node in parsed.of("Conv")[1:]:
        data, weight, bias = (parsed.made_by[name] for name in node.input)
        expected = parsed.constants[data.input[1]] * parsed.constants[weight.input[1]]
        np.testing.assert_allclose(parsed.constants[bias.input[1]], expected, rtol=1e-6)
        assert parsed.constants[bias.input[0]].dtype == np.int32


def test_pooling_and_spreading_keep_the_scale(pooled_graph, pooled_ranges):
    parsed = Parsed(quantized_graph(pooled_graph, pooled_ranges, "u8s8"))
    moved = [*parsed.of("MaxPool"), *parsed.of("DepthToSpace")]
    assert moved
    for node in moved:
        before = parsed.made_by[node.input[0]]
        after = next(n for n in parsed.of("QuantizeLinear") if n.input[0] == node.output[0])
        assert parsed.constants[before.input[1]] == parsed.constants[after.input[1]]


@every_flavour
def test_maps_stay_close_to_fp32_for_any_batch(flavour, graph, ranges, pictures):
    kept = first_block(onnx.load_from_string(graph).graph)
    content, frames = quantized_graph(graph, ranges, flavour, high_precision=kept), pictures[:8, 0]
    score, anomaly_map = maps(content, frames)
    expected_score, expected = maps(graph, frames)
    assert np.abs(anomaly_map - expected).max() < 0.05 * expected.max()
    is_whole_byte = FLAVOURS[flavour].weight_limit == 127  # else the steps of weights are twice as wide
    assert np.corrcoef(anomaly_map.ravel(), expected.ravel())[0, 1] > (0.998 if is_whole_byte else 0.997)
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
    content = quantized_graph(dead, collect_ranges(dead, pictures[:8]), "u8s8")
    given, expected = maps(content, pictures[:4, 0]), maps(dead, pictures[:4, 0])
    assert np.abs(given[1] - expected[1]).max() < 0.1 * expected[1].max()


def test_ranges_of_another_graph_are_refused(graph, ranges):
    other = ranges.model_copy(update={"graph_sha256": "0" * 64})
    with pytest.raises(InputError, match="collected on the graph 0000"):
        quantized_graph(graph, other, "u8s8")


def test_the_same_ranges_give_the_same_bytes(graph, ranges):
    again = Ranges(**ranges.model_dump())
    assert quantized_graph(graph, again, "u8s8") == quantized_graph(graph, ranges, "u8s8")
    wider = TensorRange(low=0, high=100, counts=(0,) * 1023 + (1,))
    other = ranges.model_copy(update={"tensors": ranges.tensors | {"teacher_0": wider}})
    assert quantized_graph(graph, other, "u8s8") != quantized_graph(graph, ranges, "u8s8")
