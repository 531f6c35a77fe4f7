"""Rules of Q/DQ graphs: with them a runtime computes in INT8 and the head in FP32. Every graph we write is checked.

A graph that breaks one of them still runs, only slower, or with wrong results on some devices. TensorRT's own page on
it is "Explicit Quantization" (Q/DQ placement recommendations); its parser takes no int32 DequantizeLinear for a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgerd.errors import BundleError
from edgerd.graph_names import FLOAT_PREFIXES
from edgerd.precision.parsed import PAIR, ParsedGraph, opset_of

Target = Literal["tensorrt", "onnxruntime", "openvino"]
MIN_OPSET = 19
"""The first in which QuantizeLinear and DequantizeLinear take FP16 scales."""

_OUTPUT_AXIS = 0
"""The axis of a convolution's weights that its output channels lie along."""
_GRAPH = "(graph)"
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """A broken rule.

    Attributes:
        node: Name of the node; "(graph)" where the whole graph is meant.
        rule: A key of `RULES`.
        found: What is there.
        expected: What should be.
    """

    node: str
    rule: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.node}: {self.rule}: {self.found}; expected {self.expected}"


def lint(model: bytes | onnx.ModelProto, target: Target = "tensorrt") -> tuple[Finding, ...]:
    """Every broken rule of a fused graph, in the order of `RULES`.

    Args:
        model: The fused graph, ONNX, with Q/DQ nodes or FP16 or neither; read only.
        target: "tensorrt": activations symmetric, biases float, residual sums with Q/DQ at the shortcut only.
            "openvino": zero points and int32 biases, and residual sums as for TensorRT. "onnxruntime": zero points and
            int32 biases, and residual sums with Q/DQ at both inputs.
    """
    parsed = ParsedGraph(onnx.load_from_string(model) if isinstance(model, bytes) else model)
    return tuple(
        Finding(node, name, found, expected)
        for name, (targets, rule) in RULES.items()
        if target in targets
        for node, found, expected in rule(parsed)
    )


def assert_clean(model: bytes | onnx.ModelProto, target: Target = "tensorrt", name: str = "The graph") -> None:
    """Refuse a graph that breaks a rule.

    Args:
        model: The fused graph, ONNX; read only.
        target: The runtime whose rules it has to keep, as for `lint`.
        name: What the message calls the graph: its file.

    Raises:
        BundleError: It breaks a rule; the message names the nodes.
    """
    findings = lint(model, target)
    if findings:
        more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        raise BundleError(
            f"{name} breaks {len(findings)} rules for {target}: " + "; ".join(map(str, findings[:_SHOWN])) + more,
            expected="a graph that keeps every rule of edgerd.precision.lint",
            hint="Export the bundle again with this version: edgerd export RUN -o BUNDLE",
        )


Broken = Iterator[tuple[str, str, str]]
"""Node, what was found, what was expected."""


def _opset(parsed: ParsedGraph) -> Broken:
    found = opset_of(parsed.model)
    if found < MIN_OPSET:
        yield _GRAPH, f"opset {found}", f"{MIN_OPSET} or later"


def _interface(parsed: ParsedGraph) -> Broken:
    graph = parsed.model.graph
    for values, wanted in ((graph.input, TensorProto.UINT8), (graph.output, TensorProto.FLOAT)):
        for value in values:
            if value.type.tensor_type.elem_type != wanted:
                yield value.name, _type_name(value.type.tensor_type.elem_type), _type_name(wanted)


def _scale(parsed: ParsedGraph) -> Broken:
    for node in parsed.of(*PAIR):
        scale = parsed.constants.get(node.input[1])
        if scale is None:
            yield node.name, "a scale that is computed", "a constant"
        elif not (np.isfinite(scale).all() and (scale > 0).all()):
            yield node.name, f"scale {float(scale.min()):g}", "finite and positive"


def _symmetric(parsed: ParsedGraph) -> Broken:
    for node in parsed.of(*PAIR):
        zero = parsed.zero_point(node)
        if zero is None:
            yield node.name, "no zero point, that is uint8", "int8 0"
        elif zero.dtype != np.int8 and zero.dtype != np.int32:  # int32: a bias, which has a rule of its own
            yield node.name, f"zero point of type {zero.dtype}", "int8"
        elif zero.any():
            yield node.name, f"zero point {zero.ravel()[np.flatnonzero(zero)[0]]}", "0"


def _cpu_integers(parsed: ParsedGraph) -> Broken:
    for node in parsed.of(*PAIR):
        zero = parsed.zero_point(node)
        found = "missing" if zero is None else str(zero.dtype)
        wanted = ("int8", "int32") if parsed.is_weight(node) else ("uint8", "int8")
        if found not in wanted:
            yield node.name, f"zero point of type {found}", " or ".join(wanted)
        elif zero is not None and parsed.is_weight(node) and zero.any():
            yield node.name, "weights or bias with a zero point", "0"


def _no_integer_bias(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("DequantizeLinear"):
        if parsed.is_weight(node) and parsed.constants[node.input[0]].dtype == np.int32:
            yield node.name, "a bias of int32", "a float one"


def _integer_bias(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Conv"):
        data, weight, bias = (parsed.dequantized(name) for name in (*node.input[:3], "")[:3])
        if data is None or weight is None or len(node.input) < 3:
            continue
        if bias is None or parsed.constants[bias.input[0]].dtype != np.int32:
            yield node.name, "a float bias", "int32"
            continue
        scales = [parsed.constants.get(made.input[1], np.array(np.nan)) for made in (data, weight, bias)]
        if not np.allclose(scales[2], scales[0] * scales[1], rtol=1e-3, atol=0.0):
            yield node.name, "a bias with a scale of its own", "the input's times the weights'"


def _weight_axis(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Conv"):
        made = parsed.dequantized(node.input[1])
        if made is None or made.input[0] not in parsed.constants:
            continue
        weight, scale = parsed.constants[made.input[0]], parsed.constants.get(made.input[1], np.array(1.0))
        axis = _attribute(made, "axis", 1)
        if scale.size != weight.shape[_OUTPUT_AXIS]:
            yield (
                node.name,
                f"weights with {scale.size} scales",
                f"{weight.shape[_OUTPUT_AXIS]}, one per output channel",
            )
        elif axis != _OUTPUT_AXIS and scale.ndim:
            yield node.name, f"weights scaled along axis {axis}", f"axis {_OUTPUT_AXIS}"


def _both_or_neither(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Conv"):
        data, weight = (parsed.dequantized(name) is not None for name in node.input[:2])
        if data != weight:
            yield node.name, f"only the {'input' if data else 'weights'} quantized", "both or neither"


def _no_integer_transposed_convolution(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("ConvTranspose"):
        if any(parsed.dequantized(name) is not None for name in node.input[:2]):
            yield (
                node.name,
                "a quantized ConvTranspose",
                "a float one, or Conv and DepthToSpace: kernels lack it or err",
            )


def _directly(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Conv", "Add"):
        for name in node.input:
            made, source = parsed.made_by.get(name), parsed.before_casts(name)
            if made is not None and source is not None and made.op_type == "Cast" and source.op_type == PAIR[1]:
                yield node.name, f"{made.name} between it and {source.name}", "DequantizeLinear right before it"


def _shortcut_only(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Add"):
        if all(parsed.dequantized(name) is not None for name in node.input):
            yield node.name, "both inputs quantized", "only the shortcut, so that it fuses with the convolution"


def _both_terms(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Add"):
        quantized = [parsed.dequantized(name) is not None for name in node.input]
        if any(quantized) and not all(quantized):
            yield node.name, "one input quantized", "both or neither"


def _one_scale(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Concat"):
        made = [parsed.dequantized(name) for name in node.input]
        scales = {float(parsed.constants[d.input[1]]) for d in made if d is not None and d.input[1] in parsed.constants}
        if any(made) and (not all(made) or len(scales) > 1):
            yield (
                node.name,
                f"{sum(map(bool, made))} of {len(made)} inputs quantized, {len(scales)} scales",
                "one scale",
            )


def _folded(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("BatchNormalization"):
        yield node.name, "BatchNormalization", "folded into the convolution before it"


def _resize(parsed: ParsedGraph) -> Broken:
    for node in parsed.of("Resize", "Upsample"):
        if any(parsed.dequantized(name) is not None for name in node.input):
            yield node.name, f"{node.op_type} that reads DequantizeLinear", "float"


def _float_head(parsed: ParsedGraph) -> Broken:
    types = parsed.types()
    for node in parsed.nodes:
        in_head = node.name.startswith(FLOAT_PREFIXES)
        sources = [parsed.before_casts(name) for name in node.input]
        if node.op_type in PAIR and (in_head or any(s and s.name.startswith(FLOAT_PREFIXES) for s in sources)):
            yield node.name, f"{node.op_type} in the head", "none"
        elif in_head:
            for name in (*node.input, *node.output):
                if types.get(name) in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
                    yield node.name, f"{name} of type {_type_name(types[name])}", "FLOAT"


def _unrounded_features(parsed: ParsedGraph) -> Broken:
    for node in parsed.nodes:
        if node.name.startswith(FLOAT_PREFIXES):
            for name in node.input:
                source = parsed.before_casts(name)
                if source is not None and source.op_type in PAIR and not source.name.startswith(FLOAT_PREFIXES):
                    yield node.name, f"a feature rounded by {source.name}", "the feature itself"


def _type_name(value: int) -> str:
    return str(TensorProto.DataType.Name(value))


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(helper.get_attribute_value(a)) for a in node.attribute if a.name == name), default)


_TENSORRT, _CPU = ("tensorrt",), ("onnxruntime", "openvino")
_ALL = (*_TENSORRT, *_CPU)
RULES: Final[dict[str, tuple[tuple[str, ...], Callable[[ParsedGraph], Broken]]]] = {
    "opset": (_ALL, _opset),
    "interface": (_ALL, _interface),
    "scale": (_ALL, _scale),
    "symmetric": (_TENSORRT, _symmetric),
    "integers": (_CPU, _cpu_integers),
    "float bias": (_TENSORRT, _no_integer_bias),
    "integer bias": (_CPU, _integer_bias),
    "weight axis": (_ALL, _weight_axis),
    "both or neither": (_ALL, _both_or_neither),
    "no transposed convolution": (_ALL, _no_integer_transposed_convolution),
    "directly": (_ALL, _directly),
    "residual shortcut": (("tensorrt", "openvino"), _shortcut_only),
    "residual terms": (("onnxruntime",), _both_terms),
    "concatenation": (_TENSORRT, _one_scale),
    "folded": (_ALL, _folded),
    "resize": (_ALL, _resize),
    "float head": (_ALL, _float_head),
    "head input": (_ALL, _unrounded_features),
}
"""Name of a rule to the runtimes that it is for, and the function that finds where it is broken."""
