"""Every rule finds what was planted, by the node's name; what we write breaks none."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgerd.errors import BundleError
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.lint import RULES, Finding, assert_clean, lint
from edgerd.precision.quantize import quantized_graph
from edgerd.precision.tensorrt import tensorrt_int8_graph


class Planted:
    """A graph to be spoilt, with what is needed to find and change its parts."""

    def __init__(self, content: bytes) -> None:
        self.model = onnx.load_from_string(content)
        self.graph = self.model.graph
        self.nodes = {node.name: node for node in self.graph.node}
        self.made_by = {name: node for node in self.graph.node for name in node.output}

    def first(self, operator: str, has_dequantized: int | None = None) -> onnx.NodeProto:
        return next(
            node
            for node in self.graph.node
            if node.op_type == operator and (has_dequantized is None or self.is_dequantized(node, has_dequantized))
        )

    def is_dequantized(self, node: onnx.NodeProto, index: int) -> bool:
        made = self.made_by.get(node.input[index])
        return made is not None and made.op_type == "DequantizeLinear"

    def change(self, name: str, value: object) -> None:
        constant = next(c for c in self.graph.initializer if c.name == name)
        constant.CopyFrom(numpy_helper.from_array(np.asarray(value), name))

    def value(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(next(c for c in self.graph.initializer if c.name == name))

    def insert(self, reader: onnx.NodeProto, index: int, operator: str, name: str, *more: str, **attributes) -> str:
        """A node between a reader and what it reads."""
        node = helper.make_node(operator, [reader.input[index], *more], [name], name=name, **attributes)
        reader.input[index] = name
        place = next(k for k, other in enumerate(self.graph.node) if other.name == reader.name)
        self.graph.node.insert(place, node)
        return name

    def pair(self, reader: onnx.NodeProto, index: int, scale: float = 0.1) -> str:
        """Q and DQ between a reader and what it reads, each with the DQ's name and a suffix."""
        name = f"planted/{reader.name}"
        for suffix, value in (("scale", np.float32(scale)), ("zero", np.int8(0))):
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}/{suffix}"))
        constants = [f"{name}/scale", f"{name}/zero"]
        self.insert(reader, index, "QuantizeLinear", f"{name}/quantized", *constants)
        return self.insert(reader, index, "DequantizeLinear", f"{name}/dequantized", *constants)


def old_opset(p):
    p.model.opset_import[0].version = 17
    return "(graph)"


def float_frame(p):
    p.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return "frame"


def half_output(p):
    p.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    return "anomaly_map"


def negative_scale(p):
    node = p.first("QuantizeLinear")
    p.change(node.input[1], np.float32(-1))
    return node.name


def infinite_scale(p):
    node = p.first("DequantizeLinear")
    scale = p.value(node.input[1]).copy()
    p.change(node.input[1], np.full_like(scale, np.inf))
    return node.name


def zero_point(p):
    node = p.first("QuantizeLinear")
    p.change(node.input[2], np.int8(3))
    return node.name


def unsigned_zero_point(p):
    node = p.first("QuantizeLinear")
    p.change(node.input[2], np.uint8(0))
    return node.name


def no_zero_point(p):
    node = p.first("QuantizeLinear")
    del node.input[2]
    return node.name


def integer_bias(p):
    node = p.first("Conv", has_dequantized=0)
    bias = p.value(node.input[2])
    for suffix, value in (
        ("integers", np.zeros(len(bias), np.int32)),
        ("scale", np.ones(len(bias), np.float32)),
        ("zero", np.zeros(len(bias), np.int32)),
    ):
        p.graph.initializer.append(numpy_helper.from_array(value, f"bias/{suffix}"))
    name = p.insert(node, 2, "DequantizeLinear", "bias/dequantized", "bias/scale", "bias/zero", axis=0)
    p.nodes[name] = next(n for n in p.graph.node if n.name == name)
    p.nodes[name].input[0] = "bias/integers"
    return name


def axis(operator, wrong):
    def plant(p):
        nodes = (n for n in p.graph.node if n.op_type == operator and p.is_dequantized(n, 0))
        made = {node.name: p.made_by[node.input[1]] for node in nodes}
        shapes = {name: p.value(m.input[0]).shape for name, m in made.items()}
        # where both axes are as long, only the axis tells
        square = [name for name, shape in shapes.items() if shape[0] == shape[1]]
        name = square[0] if square else next(iter(made))
        for constant in made[name].input[1:3]:
            p.change(constant, np.ones(shapes[name][wrong], p.value(constant).dtype))
        made[name].attribute[0].i = wrong
        return name

    return plant


def per_tensor_weights(p):
    node = p.first("Conv", has_dequantized=0)
    made = p.made_by[node.input[1]]
    p.change(made.input[1], np.float32(0.01))
    p.change(made.input[2], np.int8(0))
    return node.name


def float_input(p):
    node = p.first("Conv", has_dequantized=0)
    node.input[0] = p.made_by[p.made_by[node.input[0]].input[0]].input[0]
    return node.name


def float_weights(p):
    node = p.first("Conv", has_dequantized=0)
    made = p.made_by[node.input[1]]
    p.graph.initializer.append(numpy_helper.from_array(p.value(made.input[0]).astype(np.float32), "float"))
    node.input[1] = "float"
    return node.name


def both_residual_inputs(p):
    node = next(n for n in p.graph.node if n.op_type == "Add" and (p.is_dequantized(n, 0) or p.is_dequantized(n, 1)))
    p.pair(node, int(p.is_dequantized(node, 0)))
    return node.name


def one_residual_input(p):
    node = p.first("Add", has_dequantized=0)
    node.input[0] = p.made_by[p.made_by[node.input[0]].input[0]].input[0]
    return node.name


def cast_between(p):
    node = p.first("Conv", has_dequantized=0)
    p.insert(node, 0, "Cast", "planted/cast", to=TensorProto.FLOAT)
    return node.name


def part_of_a_concatenation(p):
    node = p.first("Concat")
    p.pair(node, 0)
    return node.name


def two_scales_in_a_concatenation(p):
    node = p.first("Concat")
    for index in range(len(node.input)):
        p.insert(node, index, "Identity", f"apart_{index}")
    for index in range(len(node.input)):
        helper_node = next(n for n in p.graph.node if n.name == f"apart_{index}")
        name = p.pair(helper_node, 0, scale=0.1 * (index + 1))
        node.input[index] = name
    return node.name


def batchnorm(p):
    node = p.first("Relu")
    for suffix in ("a", "b", "c", "d"):
        p.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), f"planted/{suffix}"))
    constants = [f"planted/{suffix}" for suffix in "abcd"]
    return p.insert(node, 0, "BatchNormalization", "planted/BatchNormalization", *constants)


def resize(p):
    node = p.first("Conv", has_dequantized=0)
    p.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "planted/sizes"))
    return p.insert(node, 0, "Resize", "planted/Resize", "", "planted/sizes")


def quantized_head(p):
    node = p.nodes["head/cosine_1"]
    return f"{p.pair(node, 0)[: -len('dequantized')]}quantized"


def half_head(p):
    node = p.nodes["head/root_0"]
    p.insert(node, 0, "Cast", "planted/down", to=TensorProto.FLOAT16)
    return node.name


def rounded_feature(p):
    node = p.nodes["head/dot_product_2"]
    p.pair(node, 0)
    return node.name


def transposed(p):
    node = p.first("Conv", has_dequantized=0)
    node.op_type = "ConvTranspose"
    return node.name


PLANTED = {
    "opset": [old_opset],
    "interface": [float_frame, half_output],
    "scale": [negative_scale, infinite_scale],
    "symmetric": [zero_point, unsigned_zero_point, no_zero_point],
    "float bias": [integer_bias],
    "weight axis": [axis("Conv", 1), per_tensor_weights],
    "both or neither": [float_input, float_weights],
    "no transposed convolution": [transposed],
    "directly": [cast_between],
    "residual shortcut": [both_residual_inputs],
    "concatenation": [part_of_a_concatenation, two_scales_in_a_concatenation],
    "folded": [batchnorm],
    "resize": [resize],
    "float head": [quantized_head, half_head],
    "head input": [rounded_feature],
}


def cpu_bias_scale(p):
    node = p.first("Conv", has_dequantized=2)
    name = p.made_by[node.input[2]].input[1]
    p.change(name, p.value(name) * 2)
    return node.name


def cpu_float_bias(p):
    node = p.first("Conv", has_dequantized=2)
    size = len(p.value(p.made_by[node.input[2]].input[0]))
    p.graph.initializer.append(numpy_helper.from_array(np.zeros(size, np.float32), "float"))
    node.input[2] = "float"
    return node.name


def cpu_16_bit(p):
    node = p.first("QuantizeLinear")
    p.change(node.input[2], np.uint16(0))
    return node.name


def cpu_weight_zero_point(p):
    node = p.made_by[p.first("Conv", has_dequantized=1).input[1]]
    p.change(node.input[2], p.value(node.input[2]) + np.int8(1))
    return node.name


PLANTED_CPU = {
    "opset": [old_opset],
    "interface": [float_frame],
    "scale": [negative_scale],
    "integers": [cpu_16_bit, no_zero_point, cpu_weight_zero_point],
    "integer bias": [cpu_bias_scale, cpu_float_bias],
    "weight axis": [per_tensor_weights],
    "both or neither": [float_input],
    "no transposed convolution": [transposed],
    "directly": [cast_between],
    "residual terms": [one_residual_input],
    "folded": [batchnorm],
    "resize": [resize],
    "float head": [quantized_head, half_head],
    "head input": [rounded_feature],
}


@pytest.fixture(scope="module")
def clean(graph, ranges):
    return {
        "tensorrt": tensorrt_int8_graph(graph, ranges),
        "onnxruntime": quantized_graph(graph, ranges, "u8s8"),
        "openvino": quantized_graph(graph, ranges, "u8s8-fused"),
    }


def test_what_we_write_breaks_no_rule(graph, ranges, clean):
    assert lint(clean["tensorrt"], "tensorrt") == ()
    for target in clean:
        assert lint(graph, target) == ()
    for name, flavour in FLAVOURS.items():
        assert lint(quantized_graph(graph, ranges, name), flavour.target) == ()


@pytest.mark.parametrize(
    ("target", "rule", "plant"),
    [
        pytest.param(target, rule, plant, id=f"{target}-{rule}-{index}")
        for target, planted in (("tensorrt", PLANTED), ("onnxruntime", PLANTED_CPU))
        for rule, plants in planted.items()
        for index, plant in enumerate(plants)
    ],
)
def test_a_planted_violation_is_found_with_its_node(clean, target, rule, plant):
    spoilt = Planted(clean[target])
    node = plant(spoilt)
    findings = lint(spoilt.model, target)
    assert (node, rule) in {(finding.node, finding.rule) for finding in findings}, findings


@pytest.mark.parametrize(("target", "planted"), [("tensorrt", PLANTED), ("onnxruntime", PLANTED_CPU)])
def test_there_is_a_violation_for_every_rule(target, planted):
    assert set(planted) == {name for name, (targets, _) in RULES.items() if target in targets}


def test_each_target_refuses_what_the_other_wants(clean):
    """int32 biases, zero points and both residual inputs are right on a CPU, and wrong in TensorRT."""
    assert {finding.rule for finding in lint(clean["onnxruntime"], "tensorrt")} >= {
        "symmetric",
        "float bias",
        "residual shortcut",
    }
    assert {finding.rule for finding in lint(clean["tensorrt"], "onnxruntime")} >= {"integer bias", "residual terms"}


def test_the_message_names_node_and_rule(clean):
    spoilt = Planted(clean["tensorrt"])
    node = zero_point(spoilt)
    with pytest.raises(BundleError) as caught:
        assert_clean(spoilt.model.SerializeToString(), name="graph.int8.trt.onnx")
    message = str(caught.value)
    assert "graph.int8.trt.onnx breaks" in message
    assert node in message
    assert "zero point 3; expected 0" in message
    assert_clean(clean["tensorrt"])


def test_many_findings_are_counted_and_the_first_are_shown(clean):
    with pytest.raises(BundleError, match=r"breaks \d+ rules for tensorrt: .*; and \d+ more"):
        assert_clean(clean["onnxruntime"], "tensorrt")


def test_a_finding_reads_as_a_line():
    finding = Finding("teacher/conv1/Conv", "both or neither", "only the input quantized", "both or neither")
    assert str(finding) == ("teacher/conv1/Conv: both or neither: only the input quantized; expected both or neither")


def test_the_graph_is_left_as_it_was(clean):
    model = onnx.load_from_string(clean["tensorrt"])
    lint(model)
    assert model.SerializeToString(deterministic=True) == clean["tensorrt"]
