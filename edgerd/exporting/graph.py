"""The fused graph: from uint8 frames to anomaly map and score, in one ONNX file.

    frame uint8 (N, H, W, 3) BGR -> input/ -> teacher/ -> embedding/, decoder/ -> head/ -> anomaly_map, score
                                                       -> prototypes/ ---------^

Where pictures are padded (aspect `letterbox`, see `edgerd.data.aspect`), `input/inside`, float32 (N, H, W), is 1 where
the frame shows the picture and 0 where it has the padding's colour; the head multiplies the fused map by it, and takes
the score of the product. All of it is whole numbers up to 255, which BF16 and FP16 hold exactly.

`head/`, from the cosine on, stays FP32 in every precision: a sum of squares overflows FP16. The distance maps are
tensors in it, float32 (N, h_k, w_k): `head/distance_0` to `head/distance_2` are the student's, finest first;
`head/prototype_distance_0` and `_1` those of the prototypes; `head/position_distance` that of the positions.
`prototypes/` is never quantized and never FP16: a distance is a difference of large numbers, and a product that
overflows would make a defect look like a prototype. BF16 has the range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgerd.data.aspect import PADDING_BGR
from edgerd.exporting.body import OPSET, body_graph, centre_bgr
from edgerd.graph_names import (
    ANOMALY_MAP,
    CENTRED,
    FRAME,
    HEAD,
    INPUT,
    PROTOTYPES,
    SCORE,
    STUDENT_FEATURES,
    TEACHER_FEATURES,
)
from edgerd.models.fusion import Fusion, fusion_matrix
from edgerd.models.networks import Networks
from edgerd.models.positions import Positions
from edgerd.models.prototypes import WINDOWS, Prototypes
from edgerd.scoring import SCORE_STRIDE

EPSILON = 1e-8
"""The smallest product of two norms that a cosine divides by."""
IR_VERSION = 10
"""ONNX Runtime has read files of this version since 1.18, and TensorRT's parser since 10.3."""


def graph_from_networks(networks: Networks, height: int, width: int, padded: bool = False) -> bytes:
    """Export trained networks as the fused graph.

    Args:
        networks: The networks in eval mode, on the CPU: a student, or prototypes and statistics of positions, or all.
        height: Height of the graph's input, px, a multiple of 32.
        width: Width of the graph's input, px, a multiple of 32.
        padded: Whether pictures are prepared with aspect `letterbox`: the map is 0 in the padding then.

    Returns:
        The ONNX file; opset 20, no external data. Input `frame` uint8 (N, H, W, 3), BGR; outputs `anomaly_map`
        float32 (N, H, W), 0 or more, and `score` float32 (N,). N is free.
    """
    teacher, fusion = networks.teacher, networks.fusion
    body = body_graph(teacher, networks.student, height, width).graph
    front, beside, head = _GraphPart(INPUT), _GraphPart(PROTOTYPES), _GraphPart(HEAD)
    as_float = front.node("Cast", "cast", FRAME, to=TensorProto.FLOAT)
    _centre(front, as_float, centre_bgr(teacher))
    inside = _inside(front, as_float) if padded else None
    sizes = [(height // stride, width // stride) for stride in teacher.info.strides]
    maps, map_sizes = [], []
    if networks.student:
        finest = networks.student.finest
        maps, map_sizes = _cosine_maps(head, finest), sizes[finest:]
    patches = _patches(beside) if networks.prototypes or networks.positions else ""
    if networks.prototypes:
        maps += _prototype_maps(beside, head, patches, networks.prototypes)
        map_sizes += [sizes[2]] * len(WINDOWS)
    if networks.positions:
        maps.append(_position_map(beside, head, patches, networks.positions))
        map_sizes.append(sizes[2])
    _fuse(head, maps, map_sizes, fusion, (height, width), inside)
    _score(head, fusion, height, width)
    graph = helper.make_graph(
        [*front.nodes, *body.node, *beside.nodes, *head.nodes],
        "edgerd",
        [helper.make_tensor_value_info(FRAME, TensorProto.UINT8, ["batch", height, width, 3])],
        [
            helper.make_tensor_value_info(ANOMALY_MAP, TensorProto.FLOAT, ["batch", height, width]),
            helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["batch"]),
        ],
        [*front.constants, *body.initializer, *beside.constants, *head.constants],
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


def _centre(part: _GraphPart, as_float: str, mean_bgr: list[float]) -> None:
    """Frame -> float32 (N, 3, H, W) minus the mean; colour order and scale are in the first convolution."""
    mean = part.constant("mean", np.array(mean_bgr, np.float32).reshape(1, 3, 1, 1))
    planes = part.node("Transpose", "planes", as_float, perm=[0, 3, 1, 2])
    part.node("Sub", "centred", planes, mean, output=CENTRED)


def _inside(part: _GraphPart, as_float: str) -> str:
    """Frame -> 1 where a pixel has another colour than the padding, 0 where it has the same, float32 (N, H, W)."""
    colour = part.constant("padding", np.array(PADDING_BGR, np.float32))
    one = part.constant("one", np.array(1.0, np.float32))
    channels = part.constant("channels", np.array([3], np.int64))
    distance = part.node("Abs", "from_padding", part.node("Sub", "minus_padding", as_float, colour))
    largest = part.node("ReduceMax", "farthest_channel", distance, channels, keepdims=0)
    return part.node("Min", "inside", largest, one)


def _cosine_maps(part: _GraphPart, finest: int) -> list[str]:
    """Teacher's and student's features -> 1 - cosine per position and scale, (N, h_k, w_k)."""
    axes = part.constant("channel_axis", np.array([1], np.int64))
    epsilon = part.constant("epsilon", np.array(EPSILON, np.float32))
    one = part.constant("one", np.array(1.0, np.float32))
    distances = []
    for scale in range(finest, 3):
        teacher, student = TEACHER_FEATURES[scale], STUDENT_FEATURES[scale]
        dot = _sum_of_products(part, f"dot_{scale}", teacher, student, axes)
        teacher_square = _sum_of_products(part, f"teacher_square_{scale}", teacher, teacher, axes)
        student_square = _sum_of_products(part, f"student_square_{scale}", student, student, axes)
        root = part.node("Sqrt", f"root_{scale}", part.node("Mul", f"squares_{scale}", teacher_square, student_square))
        cosine = part.node("Div", f"cosine_{scale}", dot, part.node("Max", f"norms_{scale}", root, epsilon))
        distances.append(part.node("Sub", f"distance_{scale}", one, cosine))
    return distances


def _patches(part: _GraphPart) -> str:
    """The teacher's features -> the second stage at the third one's positions, and the third, (N, C, h_3, w_3)."""
    _, second, third = TEACHER_FEATURES
    coarse = part.node("AveragePool", "second_stage", second, kernel_shape=[2, 2], strides=[2, 2])
    return part.node("Concat", "stages", coarse, third, axis=1)


def _prototype_maps(part: _GraphPart, head: _GraphPart, stages: str, prototypes: Prototypes) -> list[str]:
    """Patches -> distance to the nearest prototype of each bank, (N, h_3, w_3)."""
    axes = part.constant("axis", np.array([1], np.int64))
    patch_axes = head.constant("patch_axis", np.array([1], np.int64))
    distances = []
    for bank, (window, points) in enumerate(zip(WINDOWS, prototypes.points.numpy(), strict=True)):
        pads, shape = [window // 2] * 4, [window, window]
        seen = (
            part.node("AveragePool", f"pooled_{bank}", stages, kernel_shape=shape, pads=pads) if window > 1 else stages
        )
        mean = part.constant(f"mean_{bank}", prototypes.mean[bank].numpy()[:, None, None])
        factor = part.constant(f"factor_{bank}", prototypes.spread[bank].reciprocal().numpy()[:, None, None])
        patches = part.node("Mul", f"patches_{bank}", part.node("Sub", f"centred_{bank}", seen, mean), factor)
        filters = part.constant(f"filters_{bank}", np.ascontiguousarray(-2.0 * points[:, :, None, None]))
        squares = part.constant(f"squares_{bank}", np.square(points).sum(1))
        products = part.node("Conv", f"products_{bank}", patches, filters, squares)
        nearest = part.node("ReduceMin", f"nearest_{bank}", products, axes, keepdims=0)
        patch_square = _sum_of_products(head, f"patch_square_{bank}", patches, patches, patch_axes)
        least = head.constant(f"least_{bank}", np.square(prototypes.nearest[bank].numpy()))
        square = head.node("Max", f"square_{bank}", head.node("Add", f"sum_{bank}", nearest, patch_square), least)
        distances.append(head.node("Sqrt", f"prototype_distance_{bank}", square))
    return distances


def _position_map(part: _GraphPart, head: _GraphPart, stages: str, positions: Positions) -> str:
    """Patches -> root mean square of what they are, standardised for their positions, (N, h_3, w_3)."""
    axes = head.constant("position_axis", np.array([1], np.int64))
    mean = part.constant("position_mean", positions.mean.numpy())
    factor = part.constant("position_factor", positions.spread.reciprocal().numpy())
    standardised = part.node("Mul", "position_patches", part.node("Sub", "position_centred", stages, mean), factor)
    square = head.node("Mul", "position_product", standardised, standardised)
    return head.node("Sqrt", "position_distance", head.node("ReduceMean", "position_square", square, axes, keepdims=0))


def _fuse(
    part: _GraphPart,
    maps: list[str],
    sizes: list[tuple[int, int]],
    fusion: Fusion,
    size: tuple[int, int],
    inside: str | None,
) -> None:
    """Maps -> the fused map; weights are in the matrices, and a map of no weight is left out."""
    spread = []
    for index, (name, (rows, columns), weight) in enumerate(zip(maps, sizes, fusion.weights, strict=True)):
        if not weight:
            continue
        left = part.constant(f"rows_{index}", np.float32(weight) * fusion_matrix(size[0], rows))
        right = part.constant(f"columns_{index}", np.ascontiguousarray(fusion_matrix(size[1], columns).T))
        spread.append(part.node("MatMul", f"spread_{index}", part.node("MatMul", f"tall_{index}", left, name), right))
    total = spread[0]
    for index, other in enumerate(spread[1:-1], 1):
        total = part.node("Add", f"fused_{index}", total, other)
    operator, *inputs = ("Add", total, spread[-1]) if len(spread) > 1 else ("Identity", total)
    if inside is None:
        part.node(operator, "fused", *inputs, output=ANOMALY_MAP)
    else:
        part.node("Mul", "shown", part.node(operator, "fused", *inputs), inside, output=ANOMALY_MAP)


def _score(part: _GraphPart, fusion: Fusion, height: int, width: int) -> None:
    """The fused map -> its maximum, or the mean of its highest values."""
    n_highest = fusion.n_highest(height, width)
    if n_highest is None:
        image_axes = part.constant("image_axes", np.array([1, 2], np.int64))
        part.node("ReduceMax", "maximum", ANOMALY_MAP, image_axes, output=SCORE, keepdims=0)
        return
    channels = part.constant("channels", np.array([1], np.int64))
    planes = part.node("Unsqueeze", "plane", ANOMALY_MAP, channels)
    # a pooling over single positions is a strided slice that every runtime has a fast kernel for
    strided = part.node("MaxPool", "strided", planes, kernel_shape=[1, 1], strides=[SCORE_STRIDE] * 2)
    flat = part.node("Flatten", "positions", strided, axis=1)
    n = part.constant("n_highest", np.array([n_highest], np.int64))
    highest = f"{part.prefix}/highest"
    part.nodes.append(
        helper.make_node("TopK", [flat, n], [highest, f"{highest}_positions"], name=highest, axis=1, sorted=0)
    )
    part.node(
        "ReduceMean", "mean", highest, part.constant("last_axis", np.array([1], np.int64)), output=SCORE, keepdims=0
    )


def _sum_of_products(part: _GraphPart, name: str, left: str, right: str, axes: str) -> str:
    stem, _, scale = name.rpartition("_")
    product = part.node("Mul", f"{stem}_product_{scale}", left, right)
    return part.node("ReduceSum", name, product, axes, keepdims=0)
