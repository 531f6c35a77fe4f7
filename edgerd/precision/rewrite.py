"""Write transposed convolutions as convolutions, so that a CPU runs them in INT8.

The decoder's upsampling is a 2x2 transposed convolution with stride 2: no two of its outputs share a place, so it is a
1x1 convolution with four times the channels whose output DepthToSpace spreads. The numbers are the same. ONNX Runtime
has no INT8 transposed convolution; to OpenVINO either form is as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgerd.precision.body import is_relu, readers_of


def without_transposed_convolutions(graph: onnx.GraphProto) -> None:
    """Replace every transposed convolution whose stride is its kernel's size, in place.

    A ReLU behind it moves in front of the DepthToSpace, where a runtime computes it together with the convolution. The
    tensor that DepthToSpace reads is named "<output>/packed"; it holds the same values as the output.
    """
    constants = {constant.name: constant for constant in graph.initializer}
    readers = readers_of(graph)
    nodes: list[onnx.NodeProto] = []
    moved: set[str] = set()
    for node in graph.node:
        if node.op_type == "ConvTranspose" and _tiles_its_output(node, constants[node.input[1]].dims):
            following = readers.get(node.output[0], [])
            relu = following[0] if [is_relu(reader) for reader in following] == [True] else None
            moved |= {relu.name} if relu else set()
            nodes.extend(_packed(node, relu, constants))
        elif node.name not in moved:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _tiles_its_output(node: onnx.NodeProto, weight: Sequence[int]) -> bool:
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return (
        list(given.get("strides", ())) == list(weight[2:])
        and weight[2] == weight[3]
        and not any(given.get("pads", ()))
        and not any(given.get("output_padding", ()))
        and given.get("group", 1) == 1
    )


def _packed(
    node: onnx.NodeProto, relu: onnx.NodeProto | None, constants: dict[str, onnx.TensorProto]
) -> Iterator[onnx.NodeProto]:
    weight, *bias = node.input[1:]
    block = constants[weight].dims[2]
    _set(constants[weight], _packed_weight(numpy_helper.to_array(constants[weight])))
    for name in bias:
        _set(constants[name], np.tile(numpy_helper.to_array(constants[name]), block * block))
    output = relu.output[0] if relu else node.output[0]
    summed = node.output[0] if relu else f"{output}/packed"
    name = node.name.replace("ConvTranspose", "Conv")
    yield helper.make_node("Conv", list(node.input), [summed], name=name, kernel_shape=[1, 1])
    if relu:
        relu.output[0] = f"{output}/packed"
        yield relu
    spread = f"{node.name}/DepthToSpace"
    yield helper.make_node("DepthToSpace", [f"{output}/packed"], [output], name=spread, blocksize=block, mode="DCR")


def _packed_weight(weight: np.ndarray) -> np.ndarray:
    """Weights (in, out, b, b) of a transposed convolution -> (b * b * out, in, 1, 1), by row, column and channel."""
    packed = weight.transpose(2, 3, 1, 0)
    return np.ascontiguousarray(packed.reshape(-1, weight.shape[0], 1, 1))


def _set(constant: onnx.TensorProto, value: np.ndarray) -> None:
    constant.CopyFrom(numpy_helper.from_array(value, constant.name))
