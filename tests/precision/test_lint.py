"""Every rule finds the violation that was planted, by the node's name; graphs that edgerd writes break none."""

from __future__ import annotations

import onnx
import pytest
from planted import PLANTED, PLANTED_CPU, Planted, zero_point

from edgerd.errors import BundleError
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.lint import RULES, Finding, assert_clean, lint
from edgerd.precision.quantize import quantized_graph
from edgerd.precision.tensorrt import tensorrt_int8_graph


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
