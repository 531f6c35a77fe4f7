"""The fused graph: from uint8 frames to anomaly map and score, in one ONNX file.

    frame uint8 (N, H, W, 3) BGR -> input/ -> teacher/, embedding/, decoder/ -> head/ -> anomaly_map, score

`head/`, from the cosine on, stays FP32 in every precision: a sum of squares overflows FP16. Its distance maps are the
tensors `head/distance_0` to `head/distance_2`, float32 (N, h_k, w_k), finest first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgerd.export.body import FEATURES, OPSET, body_graph, centre_bgr
from edgerd.export.fusion import fusion_matrix
from edgerd.models.student import Student
from edgerd.models.teachers import Teacher

EPSILON = 1e-8
IR_VERSION = 10
"""What ONNX Runtime has read since 1.18, and TensorRT's parser 10.3 too."""


def graph_from_networks(teacher: Teacher, student: Student, height: int, width: int) -> bytes:
    """Export trained networks as the fused graph.

    Args:
        teacher: In eval mode, on the CPU.
        student: Likewise.
        height: Of the graph's input, a multiple of 32.
        width: Likewise.

    Returns:
        The ONNX file; opset 20, no external data. Input `frame` uint8 (N, H, W, 3), BGR; outputs `anomaly_map`
        float32 (N, H, W), 0 to 6, and `score` float32 (N,), its maximum. N is free.
    """
    model = body_graph(teacher, student, height, width)
    body = model.graph
    front, head = _GraphPart("input"), _GraphPart("head")
    _centre(front, centre_bgr(teacher))
    strides = teacher.info.strides
    _fuse(head, [(height // stride, width // stride) for stride in strides], height, width)
    graph = helper.make_graph(
        [*front.nodes, *body.node, *head.nodes],
        "edgerd",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["batch", height, width, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["batch", height, width]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
        ],
        [*front.constants, *body.initializer, *head.constants],
    )
    fused = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    fused.producer_name = "edgerd"
    onnx.checker.check_model(fused, full_check=True)
    content: bytes = fused.SerializeToString(deterministic=True)
    return content


class _GraphPart:
    """Nodes and constants under one name prefix; each node's single output has the node's name."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Add a constant; returns its full name."""
        self.constants.append(numpy_helper.from_array(value, f"{self.prefix}/{name}"))
        return f"{self.prefix}/{name}"

    def node(self, op: str, name: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns its output."""
        result = output or f"{self.prefix}/{name}"
        self.nodes.append(helper.make_node(op, list(inputs), [result], name=f"{self.prefix}/{name}", **attributes))
        return result


def _centre(part: _GraphPart, mean_bgr: list[float]) -> None:
    """Frame -> float32 (N, 3, H, W) minus the mean; colour order and scale are in the first convolution."""
    mean = part.constant("mean", np.array(mean_bgr, np.float32).reshape(1, 3, 1, 1))
    as_float = part.node("Cast", "cast", "frame", to=TensorProto.FLOAT)
    planes = part.node("Transpose", "planes", as_float, perm=[0, 3, 1, 2])
    part.node("Sub", "centred", planes, mean, output="centred")


def _fuse(part: _GraphPart, sizes: list[tuple[int, int]], height: int, width: int) -> None:
    """Feature maps -> 1 - cosine per position and scale -> fused map -> its maximum."""
    axes = part.constant("channel_axis", np.array([1], np.int64))
    epsilon = part.constant("epsilon", np.array(EPSILON, np.float32))
    one = part.constant("one", np.array(1.0, np.float32))
    spread = []
    for scale, (teacher, student) in enumerate(zip(FEATURES[:3], FEATURES[3:], strict=True)):
        dot = _sum_of_products(part, f"dot_{scale}", teacher, student, axes)
        teacher_square = _sum_of_products(part, f"teacher_square_{scale}", teacher, teacher, axes)
        student_square = _sum_of_products(part, f"student_square_{scale}", student, student, axes)
        root = part.node("Sqrt", f"root_{scale}", part.node("Mul", f"squares_{scale}", teacher_square, student_square))
        cosine = part.node("Div", f"cosine_{scale}", dot, part.node("Max", f"norms_{scale}", root, epsilon))
        distance = part.node("Sub", f"distance_{scale}", one, cosine)
        rows = part.constant(f"rows_{scale}", fusion_matrix(height, sizes[scale][0]))
        columns = part.constant(f"columns_{scale}", np.ascontiguousarray(fusion_matrix(width, sizes[scale][1]).T))
        tall = part.node("MatMul", f"tall_{scale}", rows, distance)
        spread.append(part.node("MatMul", f"spread_{scale}", tall, columns))
    first_two = part.node("Add", "fused_1", spread[0], spread[1])
    part.node("Add", "fused_2", first_two, spread[2], output="anomaly_map")
    image_axes = part.constant("image_axes", np.array([1, 2], np.int64))
    part.node("ReduceMax", "maximum", "anomaly_map", image_axes, output="score", keepdims=0)


def _sum_of_products(part: _GraphPart, name: str, left: str, right: str, axes: str) -> str:
    stem, _, scale = name.rpartition("_")
    product = part.node("Mul", f"{stem}_product_{scale}", left, right)
    return part.node("ReduceSum", name, product, axes, keepdims=0)
