"""Cut the fused graph before its head, so that OpenVINO keeps the head in FP32 while the networks run in BF16.

With `INFERENCE_PRECISION_HINT` bf16 the CPU plug-in lowers every node before the last convolution or matrix product
of a graph, and the fused graph ends in matrix products: cosine and fusion would be lowered too. That doubles the mean
error of the map and triples the score's. The public interface takes no precision per node, but one per compiled model.
So there are two: the body up to the feature maps (bf16), and the head from the cosine on (f32). The feature maps cross
the cut as bf16, as the convolutions write them: with f32 outputs the plug-in would run what follows the last
convolutions, transposed convolutions included, in f32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgerd.errors import BundleDamagedError
from edgerd.graph_names import ANOMALY_MAP, HEAD_PREFIX, SCORE


@dataclass
class _Crossing:
    """A feature map at the cut: the output that makes it, and the inputs in the head that take it."""

    source: Any
    inputs: list[Any] = field(default_factory=list)


def cut_before_head(model: Any) -> tuple[Any, Any]:
    """Split a fused graph in two.

    Args:
        model: openvino.Model of the fused graph with a static batch. It is taken apart and cannot be used afterwards.

    Returns:
        The body, `frame` to feature maps in bf16, and the head, the same names to `anomaly_map` and `score` in float32.

    Raises:
        BundleDamagedError: The graph has no tensor that is named as the head's are.
    """
    import openvino

    crossings = _crossings(model)
    outputs = [model.output(SCORE).get_node(), model.output(ANOMALY_MAP).get_node()]
    parameters = []
    for name, crossing in crossings.items():
        parameter = openvino.op.Parameter(openvino.Type.f32, crossing.source.get_partial_shape())
        parameter.output(0).set_names({name})
        for port in crossing.inputs:
            port.replace_source_output(parameter.output(0))
        parameters.append(parameter)
    sources = [crossing.source for crossing in crossings.values()]
    body = openvino.Model(sources, model.get_parameters(), "body")
    head = openvino.Model(outputs, parameters, "head")
    return _with_bf16_outputs(body), _with_bf16_inputs(head)


def _crossings(model: Any) -> dict[str, _Crossing]:
    """Find the feature maps: walk up from the results until a tensor has a name that is not the head's."""
    crossings: dict[str, _Crossing] = {}
    visited: set[str] = set()
    has_head = False
    todo = [result.input(0) for result in model.get_results()]
    while todo:
        port = todo.pop()
        source = port.get_source_output()
        node, names = source.get_node(), source.get_names()
        if node.get_type_name() == "Constant":
            continue
        in_head = {name for name in names if name.startswith(HEAD_PREFIX)}
        has_head = has_head or bool(in_head)
        if names and not in_head and not names & {SCORE, ANOMALY_MAP}:
            crossings.setdefault(min(names), _Crossing(source)).inputs.append(port)
        elif node.get_friendly_name() not in visited:
            visited.add(node.get_friendly_name())
            todo.extend(node.inputs())
    if not has_head:
        raise BundleDamagedError(
            "The graph does not name its head, so it cannot be kept in FP32.",
            expected=f"tensors from the cosine on that are named {HEAD_PREFIX}...",
            hint="Export the bundle again: edgerd export RUN -o BUNDLE",
        )
    return crossings


def _with_bf16_outputs(body: Any) -> Any:
    import openvino
    from openvino.preprocess import PrePostProcessor

    convert = PrePostProcessor(body)
    for index in range(len(body.outputs)):
        convert.output(index).tensor().set_element_type(openvino.Type.bf16)
    return convert.build()


def _with_bf16_inputs(head: Any) -> Any:
    import openvino
    from openvino.preprocess import PrePostProcessor

    convert = PrePostProcessor(head)
    for index in range(len(head.inputs)):
        convert.input(index).tensor().set_element_type(openvino.Type.bf16)
    return convert.build()
