"""From the FP32 graph and its ranges to a Q/DQ graph for TensorRT: INT8 convolutions, all else float.

TensorRT computes a convolution in INT8 if both its input and its weights come out of DequantizeLinear, and takes into
the same kernel what follows: Relu, and a residual sum whose other input comes out of DequantizeLinear too. So
convolutions read Q/DQ, and of each residual sum the shortcut; nothing else does. A pair behind a concatenation or a
pooling is moved before it by the builder, with one scale for all inputs. The head reads features as they are.
("Explicit Quantization", Q/DQ placement recommendations, in NVIDIA's TensorRT documentation.)

The decoder's 2x2 transposed convolutions stay in FP16: TensorRT's kernels for them were written for scales per
input channel (github.com/NVIDIA/TensorRT/issues/2380), others gave wrong results (issue 1694), and INT8 was slower than
FP16 (issue 1699). They are a twentieth of ResNet18's products.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt
import onnx

from edgerd.errors import InputError
from edgerd.precision.body import is_body, lies_in, shortcut_input
from edgerd.precision.lint import MIN_OPSET
from edgerd.precision.parsed import opset_of
from edgerd.precision.qdq import QdqWriter, integer_weights, largest_by_channel, refuse_ranges_of_another_graph
from edgerd.precision.ranges import Ranges, TensorRange
from edgerd.precision.scales import symmetric_scale

FLAVOUR = "trt"
"""The name of these graphs' flavour, in the `int8_flavour` of a probe and in file names."""
GRAPH_FILES = {"fp16": "graph.fp16.trt.onnx", "int8": "graph.int8.trt.onnx"}
"""Precision to the typed graph's name in a bundle. Both graphs are FP16 wherever they are not INT8 or FP32."""

ScaleOf = Callable[[str, TensorRange], float]
"""Gives the scale of an activation, real value per integer step, from its name and range."""

_OUTPUT_AXIS = 0
"""The axis of a convolution's weights that its output channels lie along."""
_LARGEST = 127
_SMALLEST_SCALE = 2.0**-20
"""Scales become FP16, whose smallest step is 2**-24: smaller scales would lose too many digits."""


def tensorrt_int8_graph(
    graph: bytes, ranges: Ranges, scale_of: ScaleOf | None = None, high_precision: Collection[str] = ()
) -> bytes:
    """Write INT8 into the fused graph, as TensorRT takes it.

    Args:
        graph: The FP32 fused graph, ONNX.
        ranges: The ranges of the same graph's activations.
        scale_of: How a scale is chosen; None for `edgerd.precision.scales.symmetric_scale`.
        high_precision: Blocks that stay as they are ("decoder/stage1", see `edgerd.precision.body.lies_in`).

    Returns:
        The same interface. Activations int8, zero point 0, one scale per tensor; weights int8, zero point 0, one scale
        per output channel; biases float32. Scales are float32 that FP16 has too.

    Raises:
        InputError: The ranges are of another graph or lack an activation, or the graph's opset is older than 19.
    """
    refuse_ranges_of_another_graph(graph, ranges)
    model = onnx.load_from_string(graph)
    _refuse_old_opset(model)
    chosen = scale_of or (lambda _, found: float(symmetric_scale(found)))
    _Quantizer(model.graph, ranges, chosen, tuple(high_precision)).rewrite()
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _refuse_old_opset(model: onnx.ModelProto) -> None:
    found = opset_of(model)
    if found < MIN_OPSET:
        raise InputError(
            f"The graph is of ONNX opset {found}.",
            expected=f"opset {MIN_OPSET} or later, the first with FP16 scales",
            hint="Export the bundle again with this version: edgerd export RUN -o BUNDLE",
        )


def _range_of(ranges: Ranges, name: str) -> TensorRange:
    if name not in ranges.tensors:
        raise InputError(
            f"The ranges have no activation named {name!r}.",
            expected="ranges of every activation of the graph",
            hint="Export the bundle again: edgerd export RUN -o BUNDLE",
        )
    return ranges.tensors[name]


class _Quantizer(QdqWriter):
    """Convolutions and residual sums read integers."""

    def __init__(
        self, graph: onnx.GraphProto, ranges: Ranges, scale_of: ScaleOf, high_precision: tuple[str, ...]
    ) -> None:
        super().__init__(graph)
        self.integer_inputs = {
            node.name: index
            for node in graph.node
            if is_body(node) and not any(lies_in(node.name, part) for part in high_precision)
            for index in self._integer_input(node)
        }
        nodes = (node for node in graph.node if node.name in self.integer_inputs)
        names = dict.fromkeys(node.input[self.integer_inputs[node.name]] for node in nodes)
        self.scales = {name: _half(scale_of(name, _range_of(ranges, name))) for name in names}

    def _integer_input(self, node: onnx.NodeProto) -> list[int]:
        """Which of a node's inputs shall be an integer: a convolution's picture, a residual sum's shortcut."""
        if node.op_type == "Conv" and node.input[1] in self.constants:
            return [0] if is_body(self.made_by[node.input[0]]) else []  # the first convolution reads the picture
        if node.op_type == "Add" and not any(name in self.constants for name in node.input):
            return [shortcut_input(node, self.made_by)]
        return []

    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes to write in the place of one: the DQ of its weights, itself, Q and DQ of its outputs."""
        index = self.integer_inputs.get(node.name)
        if index is not None:
            if node.op_type == "Conv":
                yield self._dequantized_weights(node)
            node.input[index] = f"{node.input[index]}/dequantized"
        yield node
        for name in node.output:
            if name in self.scales:
                yield from self.there_and_back(name, self.scales[name], np.int8(0))

    def _dequantized_weights(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """The DQ node that gives the weights, which become integers; the node itself is made to read its output."""
        name = f"{node.name}/weight"
        weight = self.constants[node.input[1]].astype(np.float64)
        scales = _half(largest_by_channel(weight, _OUTPUT_AXIS) / _LARGEST)
        node.input[1] = f"{name}/dequantized"
        return self.dequantized_constant(name, integer_weights(weight, scales, _OUTPUT_AXIS), scales, _OUTPUT_AXIS)


def _half(scale: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Round a scale to a float32 that FP16 has too, so that the integers stay right when the graph becomes FP16."""
    half: npt.NDArray[np.float32] = np.maximum(scale, _SMALLEST_SCALE).astype(np.float16).astype(np.float32)
    return half
