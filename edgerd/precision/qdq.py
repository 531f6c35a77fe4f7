"""Write Q/DQ nodes into a graph: what the writers for CPUs and for TensorRT share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgerd.errors import InputError
from edgerd.precision.ranges import Ranges

_LARGEST = 127
"""The largest integer of a weight; -128 is not used, so that the range is symmetric."""


def refuse_ranges_of_another_graph(graph: bytes, ranges: Ranges) -> None:
    """Raise InputError unless the ranges were collected on this FP32 graph, ONNX."""
    found = hashlib.sha256(graph).hexdigest()
    if ranges.graph_sha256 != found:
        raise InputError(
            f"The ranges were collected on the graph {ranges.graph_sha256[:16]}..., this one is {found[:16]}...",
            expected="ranges of the same graph",
            hint="Export the bundle again: edgerd export RUN -o BUNDLE",
        )


class QdqWriter(ABC):
    """Goes through a graph once and writes it again with Q/DQ nodes.

    Attributes:
        graph: The graph, which `rewrite` changes.
        constants: Name of a constant to its value; `rewrite` leaves out those that no node reads.
        made_by: Name of a tensor to the node that makes it.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants: dict[str, npt.NDArray[Any]] = {
            constant.name: numpy_helper.to_array(constant) for constant in graph.initializer
        }
        self.made_by = {name: node for node in graph.node for name in node.output}

    @abstractmethod
    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes to write in the place of one."""

    def rewrite(self) -> None:
        """Replace the graph's nodes and constants."""
        nodes = [written for node in self.graph.node for written in self.written(node)]
        read = {name for node in nodes for name in node.input}
        kept = {name: value for name, value in self.constants.items() if name in read}
        for field, values in (
            (self.graph.node, nodes),
            (self.graph.initializer, [numpy_helper.from_array(np.asarray(v), name) for name, v in kept.items()]),
            (self.graph.value_info, []),
        ):
            del field[:]
            field.extend(values)

    def there_and_back(self, name: str, scale: Any, zero_point: Any) -> Iterator[onnx.NodeProto]:
        """The Q and the DQ node of an activation, which give "<name>/dequantized".

        Args:
            name: Name of the activation.
            scale: float32, real value per integer step.
            zero_point: int8 or uint8; its type is the one that the activation is rounded to.
        """
        pair = [self._constant(f"{name}/scale", scale), self._constant(f"{name}/zero", zero_point)]
        yield _node("QuantizeLinear", [name, *pair], f"{name}/quantized")
        yield _node("DequantizeLinear", [f"{name}/quantized", *pair], f"{name}/dequantized")

    def dequantized_constant(
        self, name: str, integers: npt.NDArray[Any], scales: npt.NDArray[np.float32], axis: int
    ) -> onnx.NodeProto:
        """Add a constant as integers with zero point 0; gives the DQ node that makes "<name>/dequantized" of it.

        Args:
            name: Name of the constant.
            integers: int8 or int32, any shape.
            scales: float32, one for each index of the axis.
            axis: The axis that the output channels lie along.
        """
        parts = {"integers": integers, "scale": scales, "zero": np.zeros(len(scales), integers.dtype)}
        inputs = [self._constant(f"{name}/{part}", value) for part, value in parts.items()]
        return _node("DequantizeLinear", inputs, f"{name}/dequantized", axis=axis)

    def _constant(self, name: str, value: Any) -> str:
        self.constants[name] = value
        return name


def largest_by_channel(weight: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """The largest absolute weight of each index of the axis, float64."""
    largest: npt.NDArray[np.float64] = np.abs(weight).max(axis=_others(weight, axis))
    return largest


def integer_weights(
    weight: npt.NDArray[np.float64], scales: npt.NDArray[np.float32], axis: int
) -> npt.NDArray[np.int8]:
    """Divide weights by the scale of their index of the axis and round to the nearest integer, -127 to 127."""
    steps = weight / np.expand_dims(scales, _others(weight, axis))
    return np.rint(steps).clip(-_LARGEST, _LARGEST).astype(np.int8)


def _others(weight: npt.NDArray[np.float64], axis: int) -> tuple[int, ...]:
    return tuple(k for k in range(weight.ndim) if k != axis)


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=output, **attributes)
