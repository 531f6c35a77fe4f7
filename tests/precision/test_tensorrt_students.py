"""TensorRT's graphs of real architectures, random weights in all but lite0: no rule broken, and the maps of FP32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from parsed_graphs import literal_outputs
from torch import nn

from edgerd.exporting.graph import graph_from_networks
from edgerd.models.networks import Networks
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.models.weights import load_teacher
from edgerd.precision.half import half_graph
from edgerd.precision.lint import lint
from edgerd.precision.ranges import collect_ranges
from edgerd.precision.tensorrt import tensorrt_int8_graph

SIDE = 64
MAP_ERROR = {"fp16": 0.01, "int8": 0.15}
"""Largest error of a map, as a share of its largest value; untrained networks round worse than trained ones."""


@torch.no_grad()
def with_some_statistics(module: nn.Module) -> nn.Module:
    """Random BatchNorm statistics and weights; small at the end of each block, so that many blocks do not overflow."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.uniform_(0.5, 1.5)
            layer.weight.mul_(0.3 if name.endswith(("bn2", "bn3")) else 1.0)
            layer.bias.normal_(0, 0.2)
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2.0)
    return module


def frames(n: int) -> np.ndarray:
    """Blobs of colour, uint8 (n, 1, SIDE, SIDE, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (n, 1, SIDE // 8, SIDE // 8, 3), np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


@pytest.mark.slow
@pytest.mark.parametrize("teacher_name", ["lite0", "resnet18", "resnet50", "wide_resnet50_2"])
def test_graphs_of_real_students_keep_every_rule_and_the_maps(teacher_name):
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    torch.manual_seed(0)
    is_built_in = teacher_name == "lite0"
    teacher = load_teacher("lite0") if is_built_in else with_some_statistics(make_teacher(teacher_name)).eval()
    student = with_some_statistics(make_student(teacher.info, "full")).eval()
    graph = graph_from_networks(Networks(teacher, student), SIDE, SIDE)
    pictures = frames(8)
    expected = literal_outputs(graph, pictures[:, 0])[1]
    int8 = tensorrt_int8_graph(graph, collect_ranges(graph, pictures))
    n_convolutions = sum(node.op_type == "Conv" for node in onnx.load_from_string(graph).graph.node)
    for precision, source in (("fp16", graph), ("int8", int8)):
        content = half_graph(source, pictures)
        assert lint(content, "tensorrt") == ()
        given = literal_outputs(content, pictures[:, 0])[1]
        assert np.isfinite(given).all()
        assert np.abs(given - expected).max() < MAP_ERROR[precision] * expected.max(), precision
        assert np.corrcoef(given.ravel(), expected.ravel())[0, 1] > 0.98
        # the first convolution may stay out: it reads the picture
        assert n_integer_weights(content) in ((n_convolutions - 1, n_convolutions) if precision == "int8" else (0,))


def n_integer_weights(content: bytes) -> int:
    """How many DequantizeLinear nodes read a constant."""
    graph = onnx.load_from_string(content).graph
    constants = {constant.name for constant in graph.initializer}
    return sum(node.op_type == "DequantizeLinear" and node.input[0] in constants for node in graph.node)
