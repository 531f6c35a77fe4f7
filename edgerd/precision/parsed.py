"""A graph read by name, for rules that look from a node to what feeds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

PAIR = ("QuantizeLinear", "DequantizeLinear")
"""The operators that round an activation to integers and turn it back."""


def opset_of(model: onnx.ModelProto) -> int:
    """The opset of ONNX's own operators; 0 where the graph names none."""
    return max((int(entry.version) for entry in model.opset_import if entry.domain == ""), default=0)


class ParsedGraph:
    """A graph by name: constants, who made a tensor, and of which type it is.

    Attributes:
        model: The graph that was read.
        nodes: Its nodes, in its order.
        made_by: Name of a tensor to the node that makes it.
        constants: Name of a tensor to its value, for initializers and Constant nodes.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.made_by = {name: node for node in self.nodes for name in node.output}
        self.constants: dict[str, npt.NDArray[Any]] = {
            constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer
        }
        for node in self.of("Constant"):
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                self.constants[node.output[0]] = numpy_helper.to_array(value)

    def of(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """The nodes of these operators."""
        return (node for node in self.nodes if node.op_type in operators)

    def dequantized(self, name: str) -> onnx.NodeProto | None:
        """The DequantizeLinear that makes a tensor, if one does."""
        made = self.made_by.get(name)
        return made if made is not None and made.op_type == "DequantizeLinear" else None

    def before_casts(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor; where that is a Cast, the one before it."""
        made = self.made_by.get(name)
        while made is not None and made.op_type == "Cast":
            made = self.made_by.get(made.input[0])
        return made

    def zero_point(self, node: onnx.NodeProto) -> npt.NDArray[Any] | None:
        """The zero point of a Q or DQ node; None where it has none, or one that is computed."""
        return self.constants.get(node.input[2]) if len(node.input) > 2 else None

    def is_weight(self, node: onnx.NodeProto) -> bool:
        """Whether a node dequantizes a constant, weights or a bias."""
        return node.op_type == "DequantizeLinear" and node.input[0] in self.constants

    def types(self) -> dict[str, int]:
        """Name of a tensor to its element type, an `onnx.TensorProto.DataType`."""
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        values = [*inferred.value_info, *inferred.input, *inferred.output]
        known = {value.name: value.type.tensor_type.elem_type for value in values}
        return known | {constant.name: constant.data_type for constant in inferred.initializer}
