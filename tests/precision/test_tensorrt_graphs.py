"""The TensorRT graph: where Q/DQ nodes stand, what they hold, and the numbers."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from parsed_graphs import Parsed, literal_outputs

from edgerd.errors import InputError
from edgerd.precision.body import first_stage, is_body
from edgerd.precision.tensorrt import tensorrt_int8_graph

STAGE = "decoder/stage1"


@pytest.fixture(scope="module")
def parsed(graph, ranges):
    return Parsed(tensorrt_int8_graph(graph, ranges))


def test_interface_names_and_opset_are_the_fp32_graphs(parsed, graph):
    exported = onnx.load_from_string(graph)
    assert parsed.model.graph.input == exported.graph.input
    assert parsed.model.graph.output == exported.graph.output
    assert parsed.model.opset_import == exported.opset_import
    written = [(n.op_type, n.name) for n in parsed.nodes if "Linear" not in n.op_type]
    assert written == [(n.op_type, n.name) for n in exported.graph.node]


def test_every_convolution_of_the_networks_reads_integers_and_a_float_bias(parsed):
    convolutions = [node for node in parsed.of("Conv") if is_body(node)]
    for node in convolutions:
        reads_picture = node is convolutions[0]
        assert parsed.integers_at(node)[:2] == [not reads_picture] * 2, node.name
        assert all(parsed.constants[name].dtype == np.float32 for name in node.input[2:])


def test_transposed_convolutions_stay_in_floating_point(parsed):
    found = parsed.of("ConvTranspose")
    assert found
    assert not any(any(parsed.integers_at(node)) for node in found)


def test_weights_are_int8_symmetric_per_output_channel(parsed):
    for node in list(parsed.of("Conv"))[1:]:
        made = parsed.made_by[node.input[1]]
        integers, scales, zeros = (parsed.constants[name] for name in made.input)
        assert [a.i for a in made.attribute if a.name == "axis"] == [0]
        assert scales.shape == zeros.shape == (integers.shape[0],)
        assert integers.dtype == zeros.dtype == np.int8
        assert not zeros.any()
        reached = np.abs(integers.astype(int)).max(axis=(1, 2, 3))
        # every channel uses its steps, one may be lost to rounding the scale; but for those whose weights are nothing
        assert (reached >= 126)[scales > 2.0**-20].all()
        assert (scales > 2.0**-20).mean() > 0.8


def test_of_a_residual_sum_only_the_shortcut_is_quantized(parsed):
    sums = [node for node in parsed.of("Add") if is_body(node)]
    assert sums
    for node in sums:
        assert sorted(parsed.integers_at(node)) == [False, True], node.name
        raw = parsed.made_by[node.input[parsed.integers_at(node).index(False)]]
        assert raw.name.rpartition("/")[0].endswith(("conv2", "project")), node.name  # the block's last convolution


def test_nothing_else_reads_integers(parsed):
    for node in parsed.nodes:
        if node.op_type not in ("Conv", "Add", "DequantizeLinear"):
            assert not any(parsed.integers_at(node)), node.name


def test_every_scale_is_one_that_fp16_has(parsed):
    for node in parsed.of("QuantizeLinear", "DequantizeLinear"):
        scale = parsed.constants[node.input[1]]
        np.testing.assert_array_equal(scale.astype(np.float16).astype(np.float32), scale)
        assert (scale > 0).all()


def test_maps_stay_close_to_fp32_for_any_batch(graph, ranges, pictures):
    frames, kept = pictures[:8, 0], first_stage(onnx.load_from_string(graph).graph)
    score, anomaly_map = literal_outputs(tensorrt_int8_graph(graph, ranges, high_precision=kept), frames)
    expected_score, expected = literal_outputs(graph, frames)
    assert np.isfinite(anomaly_map).all()
    assert np.abs(anomaly_map - expected).max() < 0.1 * expected.max()
    assert np.corrcoef(anomaly_map.ravel(), expected.ravel())[0, 1] > 0.998
    np.testing.assert_allclose(score, expected_score, rtol=0.05)


def test_nodes_of_high_precision_stay_as_they_are(graph, ranges, pictures):
    some = Parsed(tensorrt_int8_graph(graph, ranges, high_precision=(STAGE,)))
    for node in some.of("Conv", "Add"):
        if is_body(node):
            assert any(some.integers_at(node)) is not node.name.startswith((STAGE, "teacher/stem")), node.name
    everything = tensorrt_int8_graph(graph, ranges, high_precision=("teacher", "embedding", "decoder"))
    assert not Parsed(everything).of("QuantizeLinear", "DequantizeLinear")
    np.testing.assert_array_equal(
        literal_outputs(everything, pictures[:2, 0])[1], literal_outputs(graph, pictures[:2, 0])[1]
    )


def test_a_block_whose_number_begins_alike_is_another(graph, ranges):
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.name = node.name.replace("teacher/stage3.0", "teacher/stage2.01")
    renamed = model.SerializeToString()
    own = ranges.model_copy(update={"graph_sha256": sha256(renamed).hexdigest()})
    some = Parsed(tensorrt_int8_graph(renamed, own, high_precision=("teacher/stage2.0",)))
    convolutions = [node for node in some.of("Conv") if node.name.startswith("teacher/stage2.0")]
    quantized = {node.name: any(some.integers_at(node)) for node in convolutions}
    assert quantized == {name: name.startswith("teacher/stage2.01.") for name in quantized}
    assert set(quantized.values()) == {True, False}


def test_scales_come_from_the_function_given(graph, ranges):
    asked = {}

    def scale_of(name, found):
        asked[name] = found
        return 0.125

    some = Parsed(tensorrt_int8_graph(graph, ranges, scale_of))
    assert {float(some.constants[node.input[1]]) for node in some.of("QuantizeLinear")} == {0.125}
    assert asked == {node.input[0]: ranges.tensors[node.input[0]] for node in some.of("QuantizeLinear")}


@settings(max_examples=4, deadline=None)
@given(factor=st.floats(2.0**-12, 64.0), channel=st.integers(0, 15))
def test_any_weights_are_rounded_by_half_a_step_at_most(graph, ranges, factor, channel):
    model = onnx.load_from_string(graph)
    one = [node for node in model.graph.node if node.op_type == "Conv"][1]
    constant = next(c for c in model.graph.initializer if c.name == one.input[1])
    weight = numpy_helper.to_array(constant).copy()
    weight[channel % len(weight)] *= np.float32(factor)
    constant.CopyFrom(numpy_helper.from_array(weight, constant.name))
    # of this graph only one convolution is looked at: the ranges may stay
    changed = model.SerializeToString()
    own = ranges.model_copy(update={"graph_sha256": sha256(changed).hexdigest()})
    some = Parsed(tensorrt_int8_graph(changed, own))
    node = next(n for n in some.nodes if n.name == one.name)
    integers, scales, _ = (some.constants[name] for name in some.made_by[node.input[1]].input)
    steps = scales[:, None, None, None]
    # half a step, and what the largest weight loses where its scale was rounded down to FP16
    assert (np.abs(integers * steps - weight) <= steps * (0.5 + 127 * 2.0**-10) + 1e-9).all()


def test_ranges_of_another_graph_are_refused(graph, ranges):
    other = ranges.model_copy(update={"graph_sha256": "0" * 64})
    with pytest.raises(InputError, match="collected on the graph 0000"):
        tensorrt_int8_graph(graph, other)


def test_ranges_that_lack_an_activation_are_refused(graph, ranges):
    fewer = ranges.model_copy(update={"tensors": {k: v for k, v in ranges.tensors.items() if k != "teacher_0"}})
    with pytest.raises(InputError, match="no activation named 'teacher_0'"):
        tensorrt_int8_graph(graph, fewer)


def test_an_old_opset_is_refused(graph, ranges):
    model = onnx.load_from_string(graph)
    model.opset_import[0].version = 17
    old = model.SerializeToString()
    own = ranges.model_copy(update={"graph_sha256": sha256(old).hexdigest()})
    with pytest.raises(InputError, match="opset 17") as caught:
        tensorrt_int8_graph(old, own)
    assert "opset 19 or later" in str(caught.value)


def test_the_same_ranges_give_the_same_bytes(graph, ranges):
    assert tensorrt_int8_graph(graph, ranges) == tensorrt_int8_graph(graph, ranges)
