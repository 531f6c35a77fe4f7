"""From the FP32 graph and its ranges to a Q/DQ graph for CPUs: INT8 networks, FP32 head.

Where Q/DQ nodes go decides what runs in INT8: a runtime replaces a node by its integer kernel if all it reads comes out
of DequantizeLinear and all it gives goes into QuantizeLinear. So every activation between two body nodes carries one
pair, residual sums and concatenations included; a Relu has none of its own. What only the head reads stays FP32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgerd.errors import InputError
from edgerd.precision.body import activations, is_body
from edgerd.precision.flavours import FLAVOURS, Flavour
from edgerd.precision.ranges import Ranges
from edgerd.precision.rewrite import without_transposed_convolutions
from edgerd.precision.scales import Scale, activation_scale

_SMALLEST_SCALE = 1e-12
_LARGEST_BIAS = 2.0**30
"""A bias is an int32 in steps of activation scale times weight scale; half of the range is left to the sum."""


def int8_graph_file(flavour: str) -> str:
    """Name of the Q/DQ graph of a flavour in the bundle."""
    return f"graph.int8.{flavour}.onnx"


def quantised_graph(graph: bytes, ranges: Ranges, flavour: str) -> bytes:
    """Write INT8 into the fused graph.

    Args:
        graph: The FP32 fused graph, ONNX.
        ranges: Of the same graph.
        flavour: An entry of `FLAVOURS`.

    Returns:
        The same interface. Activations 8-bit with a zero point, one scale per tensor; weights int8, symmetric, one
        scale per output channel; biases int32; transposed convolutions as convolutions (`edgerd.precision.rewrite`).

    Raises:
        InputError: The ranges are of another graph.
    """
    found = hashlib.sha256(graph).hexdigest()
    if ranges.graph_sha256 != found:
        raise InputError(
            f"The ranges were collected on the graph {ranges.graph_sha256[:16]}..., this one is {found[:16]}...",
            expected="ranges of the same graph",
            hint="Export the bundle again: edgerd export RUN -o BUNDLE",
        )
    model = onnx.load_from_string(graph)
    without_transposed_convolutions(model.graph)
    _Quantiser(model.graph, ranges, FLAVOURS[flavour]).rewrite()
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Quantiser:
    """Goes through a graph once and writes it again with Q/DQ nodes."""

    def __init__(self, graph: onnx.GraphProto, ranges: Ranges, flavour: Flavour) -> None:
        self.graph = graph
        self.flavour = flavour
        self.constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
        self.scales = _scales(graph, ranges, flavour)

    def rewrite(self) -> None:
        """Replace the graph's nodes and constants."""
        nodes = [written for node in self.graph.node for written in self._written(node)]
        read = {name for node in nodes for name in node.input}
        kept = {name: value for name, value in self.constants.items() if name in read}
        for field, values in (
            (self.graph.node, nodes),
            (self.graph.initializer, [numpy_helper.from_array(np.asarray(v), name) for name, v in kept.items()]),
            (self.graph.value_info, []),
        ):
            del field[:]
            field.extend(values)

    def _written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """What stands in a node's place: its weights' DQ, itself, Q and DQ of what it gives."""
        if is_body(node) and node.op_type == "Conv" and node.input[0] in self.scales:
            yield from self._dequantised_weights(node)
        inputs = [f"{name}/dequantised" if name in self.scales else name for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
        yield node
        for name in node.output:
            if name in self.scales:
                scale = self.scales[name]
                pair = [self._constant(f"{name}/scale", scale.scale), self._constant(f"{name}/zero", scale.zero_point)]
                yield _node("QuantizeLinear", [name, *pair], f"{name}/quantised")
                yield _node("DequantizeLinear", [f"{name}/quantised", *pair], f"{name}/dequantised")

    def _dequantised_weights(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Weights and bias as integers; the node is made to read what their DQ nodes give."""
        weight = self.constants[node.input[1]].astype(np.float64)
        bias = self.constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(weight))
        step = float(self.scales[node.input[0]].scale)
        largest = np.abs(weight).max(axis=(1, 2, 3))
        # a channel that BatchNorm switched off has weights near zero and a bias: its steps must not be as small
        scales = np.maximum(largest / self.flavour.weight_limit, np.abs(bias) / (step * _LARGEST_BIAS))
        scales = np.maximum(scales, _SMALLEST_SCALE).astype(np.float32)
        integers = np.rint(weight / scales[:, None, None, None]).astype(np.int8)
        yield self._dequantised_constant(node, 1, integers, scales)
        if len(node.input) > 2:
            steps = (scales * np.float32(step)).astype(np.float32)
            yield self._dequantised_constant(node, 2, np.rint(bias / steps).astype(np.int32), steps)

    def _dequantised_constant(
        self, node: onnx.NodeProto, index: int, integers: npt.NDArray[Any], scales: npt.NDArray[np.float32]
    ) -> onnx.NodeProto:
        name = node.input[index]
        node.input[index] = f"{name}/dequantised"
        parts = {"integers": integers, "scale": scales, "zero": np.zeros(len(scales), integers.dtype)}
        inputs = [self._constant(f"{name}/{part}", value) for part, value in parts.items()]
        return _node("DequantizeLinear", inputs, node.input[index], axis=0)

    def _constant(self, name: str, value: Any) -> str:
        self.constants[name] = value
        return name


def _scales(graph: onnx.GraphProto, ranges: Ranges, flavour: Flavour) -> dict[str, Scale]:
    """A scale for each activation; nodes that only move values have the same on both sides."""
    names = activations(graph)
    scales = {name: activation_scale(ranges.tensors[name], flavour) for name in names if name in ranges.tensors}
    for node in graph.node:
        given, taken = node.output[0], node.input[0]
        if node.op_type == "DepthToSpace":
            scales |= {taken: activation_scale(ranges.tensors[given], flavour)}
        if node.op_type == "MaxPool" and given in scales:
            scales[given] = scales[taken]
    return scales


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=output, **attributes)
