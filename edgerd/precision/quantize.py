"""From the FP32 graph and its ranges to a Q/DQ graph for CPUs: INT8 networks, FP32 head.

Where Q/DQ nodes go decides what runs in INT8: a runtime replaces a node by its integer kernel if all it reads comes out
of DequantizeLinear and all it gives goes into QuantizeLinear. So every activation between two INT8 nodes carries one
pair, residual sums and concatenations included; a ReLU has none of its own. The head and the blocks that are left in
high precision read the values as they were before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
import onnx

from edgerd.precision.body import is_body, is_relu, lies_in, readers_of, shortcut_input
from edgerd.precision.flavours import FLAVOURS, Flavour
from edgerd.precision.preset import Preset
from edgerd.precision.qdq import QdqWriter, integer_weights, largest_by_channel, refuse_ranges_of_another_graph
from edgerd.precision.ranges import Ranges
from edgerd.precision.rewrite import without_transposed_convolutions
from edgerd.precision.scales import Scale, activation_scale

_SMALLEST_SCALE = 1e-12
_MOVING = ("Concat", "DepthToSpace", "MaxPool")
_LARGEST_BIAS = 2.0**30
"""A bias is an int32 in steps of activation scale times weight scale; half of the range is left to the sum."""


def int8_graph_file(flavour: str) -> str:
    """Name in the bundle of a flavour's usual graph: the one that is built from without a preset or blocks."""
    return f"graph.int8.{flavour}.onnx"


def quantized_graph(
    graph: bytes, ranges: Ranges, flavour: str, preset: Preset | None = None, high_precision: Collection[str] = ()
) -> bytes:
    """Write INT8 into the fused graph.

    Args:
        graph: The FP32 fused graph, ONNX.
        ranges: The ranges of the same graph's activations.
        flavour: An entry of `FLAVOURS`.
        preset: How the ranges are chosen; None for `Preset()`.
        high_precision: Blocks that stay as they are ("decoder/stage1.0", see `edgerd.precision.body.lies_in`), beside
            those of the preset.

    Returns:
        The same interface. Activations 8-bit with a zero point, one scale per tensor; weights int8, symmetric, one
        scale per output channel; biases int32; transposed convolutions as convolutions (`edgerd.precision.rewrite`).

    Raises:
        InputError: The ranges are of another graph, or the preset names a part that is not in it.
    """
    refuse_ranges_of_another_graph(graph, ranges)
    preset = preset or Preset()
    model = onnx.load_from_string(graph)
    choices = preset.choices(model.graph)
    without_transposed_convolutions(model.graph)
    kept = (*preset.high_precision, *high_precision)

    def scale_of(name: str) -> Scale:
        return activation_scale(ranges.tensors[name], FLAVOURS[flavour], choices[name])

    _Quantizer(model.graph, scale_of, FLAVOURS[flavour], kept).rewrite()
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Quantizer(QdqWriter):
    """Every activation between two INT8 nodes is rounded to integers."""

    def __init__(
        self, graph: onnx.GraphProto, scale_of: Callable[[str], Scale], flavour: Flavour, kept: tuple[str, ...]
    ) -> None:
        super().__init__(graph)
        self.flavour = flavour
        self.kept = kept
        self.readers = readers_of(graph)
        self.integer_inputs = {node.name: self._integer_inputs(node) for node in graph.node}
        read = dict.fromkeys(node.input[k] for node in graph.node for k in self.integer_inputs[node.name])
        self.scales = _scales(graph, read, scale_of)

    def _integer_inputs(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Indices of the inputs that a node reads as integers: none where the node stays in high precision.

        What is made outside of the networks is never an integer.
        """
        if not is_body(node) or is_relu(node) or self._is_kept(node):
            return ()
        if node.op_type == "Add" and self.flavour.fused_sums:
            return (shortcut_input(node, self.made_by),)
        made = (k for k, name in enumerate(node.input) if name in self.made_by)
        return tuple(k for k in made if is_body(self.made_by[node.input[k]]))

    def _is_kept(self, node: onnx.NodeProto) -> bool:
        """Whether a node stays in high precision; one that only moves values does where one of its readers does."""
        if node.op_type not in _MOVING:
            return any(lies_in(node.name, part) for part in self.kept)
        readers = (reader for name in node.output for reader in self.readers[name] if is_body(reader))
        return any(self._is_kept(reader) for reader in readers)

    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes to write in the place of one: the DQ of its weights, itself, Q and DQ of its outputs."""
        integer_inputs = self.integer_inputs[node.name]
        if node.op_type == "Conv" and integer_inputs:
            yield from self._dequantized_weights(node)
        for index in integer_inputs:
            node.input[index] = f"{node.input[index]}/dequantized"
        yield node
        for name in node.output:
            if name in self.scales:
                scale = self.scales[name]
                yield from self.there_and_back(name, scale.scale, scale.zero_point)

    def _dequantized_weights(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Weights and bias as integers; the node is made to read what their DQ nodes give."""
        weight = self.constants[node.input[1]].astype(np.float64)
        bias = self.constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(weight))
        step = float(self.scales[node.input[0]].scale)
        # A channel that BatchNorm switched off has weights near zero and a bias. Steps as small as its weights would
        # make the bias overflow.
        scales = np.maximum(
            largest_by_channel(weight, 0) / self.flavour.weight_limit, np.abs(bias) / (step * _LARGEST_BIAS)
        )
        scales = np.maximum(scales, _SMALLEST_SCALE).astype(np.float32)
        integers = integer_weights(weight, scales, 0)
        yield self.dequantized_constant(_redirected(node, 1), integers, scales, 0)
        if len(node.input) > 2:
            steps = (scales * np.float32(step)).astype(np.float32)
            yield self.dequantized_constant(_redirected(node, 2), np.rint(bias / steps).astype(np.int32), steps, 0)


def _scales(graph: onnx.GraphProto, names: Collection[str], scale_of: Callable[[str], Scale]) -> dict[str, Scale]:
    """A scale for each activation; what a node that only moves values reads has the same one as what it gives."""
    spread = {node.input[0]: node.output[0] for node in graph.node if node.op_type == "DepthToSpace"}
    scales = {name: scale_of(spread.get(name, name)) for name in names}
    for node in graph.node:
        if node.op_type == "MaxPool" and {node.input[0], node.output[0]} <= scales.keys():
            scales[node.output[0]] = scales[node.input[0]]
    return scales


def _redirected(node: onnx.NodeProto, index: int) -> str:
    """Let a node read the dequantized form of one of its inputs; gives the name that the input had."""
    name: str = node.input[index]
    node.input[index] = f"{name}/dequantized"
    return name
