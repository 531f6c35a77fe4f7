"""What of the fused graph may be quantised: teacher, embedding and decoder; never what feeds or follows them."""

from __future__ import annotations

import onnx

FRONT_PREFIX, HEAD_PREFIX = "input/", "head/"
"""Names of the nodes before and after the networks. The head, from the cosine on, is FP32 in every precision."""


def is_body(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to the networks."""
    return not node.name.startswith((FRONT_PREFIX, HEAD_PREFIX))


def readers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Tensor name to the nodes that read it, each once."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            found.setdefault(name, []).append(node)
    return found


def activations(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Tensors that a runtime may keep in INT8, in the graph's order: all that the networks read and are not constants.

    A tensor that only a Relu reads is none: every runtime computes the Relu together with the node before it. Nor is
    one that only the head reads.
    """
    readers = readers_of(graph)
    made = [name for node in graph.node for name in node.output]
    return tuple(
        name for name in made if any(is_body(node) and node.op_type != "Relu" for node in readers.get(name, []))
    )
