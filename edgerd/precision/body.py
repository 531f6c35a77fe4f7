"""Which nodes of the fused graph may be quantized: those of teacher, embedding and decoder, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

from edgerd.graph_names import UNQUANTIZED_PREFIXES


def is_body(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to the networks."""
    return not node.name.startswith(UNQUANTIZED_PREFIXES)


def is_relu(node: onnx.NodeProto) -> bool:
    """Whether a node is a ReLU, or a ReLU6, which ONNX calls Clip.

    Every runtime computes it together with the node before it, so that what it reads is no tensor of its own.
    """
    return node.op_type in ("Relu", "Clip")


def lies_in(name: str, part: str) -> bool:
    """Whether a name is that of a part of the networks, or of something within it.

    "teacher/layer3.1/Conv" and "teacher/layer3.1.conv1/Conv" lie in "teacher/layer3.1", "teacher/layer3.10/Conv" does
    not. A "/" or "." at the part's end makes no difference.
    """
    part = part.rstrip("/.")
    return name == part or name.startswith((f"{part}/", f"{part}."))


def readers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Tensor name to the nodes that read it, each once."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            found.setdefault(name, []).append(node)
    return found


def activations(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Names of the tensors that a runtime may keep in INT8, in the graph's order: what the networks make and read.

    A tensor that only a ReLU reads does not count, because no runtime writes it out (`is_relu`); one that only the head
    reads does not, because the head is FP32. Nor does the picture, so that the first convolution stays in high
    precision: its input is 8 bits minus a mean that is no integer with most teachers, and to round it again cost more
    than half of all that INT8 costs in the maps.
    """
    readers = readers_of(graph)
    made = [name for node in graph.node if is_body(node) for name in node.output]
    return tuple(name for name in made if any(is_body(node) and not is_relu(node) for node in readers.get(name, [])))


def shortcut_input(addition: onnx.NodeProto, made_by: Mapping[str, onnx.NodeProto]) -> int:
    """Which input of a residual sum is the shortcut: the one with fewer nodes back to where the two part.

    Args:
        addition: An Add of two activations.
        made_by: Tensor name to the node that makes it.
    """
    left, right = (list(_back(name, made_by)) for name in addition.input)
    fork = next((name for name in left if name in right), None)
    lengths = (len(left), len(right)) if fork is None else (left.index(fork), right.index(fork))
    return int(lengths[1] <= lengths[0])


def _back(name: str, made_by: Mapping[str, onnx.NodeProto]) -> Iterator[str]:
    """A tensor, then the first input of the node that makes it, and so on to the beginning of the graph."""
    yield name
    while name in made_by and made_by[name].input:
        name = made_by[name].input[0]
        yield name


def blocks(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Names of the blocks of the networks that may be in INT8, in the graph's order.

    A block is a module with a number in its name: "teacher/layer1.0", "embedding/down2.0", "decoder/stage3.1". The
    first convolution is never in INT8, so it is left out.
    """
    convolutions = [node for node in graph.node if is_body(node) and node.op_type in ("Conv", "ConvTranspose")]
    return tuple(dict.fromkeys(_block_of(node.name) for node in convolutions[1:]))


def first_block(graph: onnx.GraphProto) -> tuple[str, ...]:
    """The teacher's first block, in a tuple; it is what an INT8 graph for CPUs usually leaves in high precision.

    It reads what the first convolution and the pooling give, few of whose values are large: 256 even levels over all of
    them are coarse where most lie. With the block in high precision the largest map error was a quarter of what it is
    with all in INT8 (docs/decisions/int8-cpu.md).
    """
    return blocks(graph)[:1]


def first_stage(graph: onnx.GraphProto) -> tuple[str, ...]:
    """The teacher's first stage, "teacher/layer1", in a tuple; an INT8 graph for TensorRT usually leaves it out.

    Its activations have no zero point, so that values of one sign have 128 levels instead of 256.
    """
    return tuple(_stage_of(block) for block in first_block(graph))


def _stage_of(block: str) -> str:
    """The stage that a block belongs to: "teacher/layer1" for "teacher/layer1.0".

    A block whose parent has no number is a stage by itself: "teacher/blocks.0".
    """
    stage = block.rpartition(".")[0]
    return stage if stage[-1:].isdigit() else block


def _block_of(name: str) -> str:
    network, _, module = name.partition("/")
    steps = module.split("/")[0].split(".")
    numbered = next((depth for depth, step in enumerate(steps) if step.isdigit()), 0)
    return f"{network}/{'.'.join(steps[: numbered + 1])}"
