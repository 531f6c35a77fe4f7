"""A transposed convolution, written as a convolution, gives the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgerd.precision.rewrite import without_transposed_convolutions


def model_with(after: str | None, strides=(2, 2), kernel=2, bias=True) -> onnx.ModelProto:
    """x (N, 3, 5, 7) -> ConvTranspose, then `after` -> y (N, 4, 10, 14)."""
    random = np.random.default_rng(0)
    constants = {"w": random.normal(size=(3, 4, kernel, kernel)), "b": random.normal(size=4)}
    inputs = ["x", "w", *(["b"] if bias else [])]
    nodes = [helper.make_node("ConvTranspose", inputs, ["up" if after else "y"], name="up", strides=list(strides))]
    if after:
        nodes.append(helper.make_node(after, ["up"], ["y"], name="after"))
    graph = helper.make_graph(
        nodes,
        "up",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 5, 7])],
        [helper.make_empty_tensor_value_info("y")],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in constants.items()
            if name in inputs
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.random.default_rng(1).normal(size=(2, 3, 5, 7)).astype(np.float32)})[0]


@pytest.mark.parametrize("after", [None, "Relu", "Sigmoid"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_numbers_are_the_same(after, bias):
    model = model_with(after, bias=bias)
    expected = run(model)
    without_transposed_convolutions(model.graph)
    operators = [node.op_type for node in model.graph.node]
    assert operators == {"Relu": ["Conv", "Relu", "DepthToSpace"], "Sigmoid": ["Conv", "DepthToSpace", "Sigmoid"]}.get(
        after, ["Conv", "DepthToSpace"]
    )
    np.testing.assert_allclose(run(model), expected, atol=1e-5)


@pytest.mark.parametrize(("strides", "kernel"), [((1, 1), 2), ((2, 2), 3)])
def test_one_whose_outputs_overlap_is_left_alone(strides, kernel):
    model = model_with("Relu", strides, kernel)
    without_transposed_convolutions(model.graph)
    assert [node.op_type for node in model.graph.node] == ["ConvTranspose", "Relu"]
