"""From ONNX to TensorRT's network, strongly typed: the graph alone says which precision each tensor has."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorrt as trt

from edgerd.errors import BundleDamagedError
from edgerd.runtimes.interface import graph_size
from edgerd.runtimes.tensorrt.log import Log, made, started
from edgerd.runtimes.tensorrt.values import extents


class Parsed(NamedTuple):
    """A network, and the objects that made it and hold its weights, which must all live until the plan is built."""

    builder: trt.Builder
    network: trt.INetworkDefinition
    parser: trt.OnnxParser
    graph: bytes

    @property
    def tile_shape(self) -> tuple[int, ...]:
        """Height, width and channels of a tile."""
        return extents(self.network.get_input(0).shape)[1:]


def parsed(graph: bytes, log: Log) -> Parsed:
    """Read a fused graph.

    Raises:
        BundleDamagedError: TensorRT cannot parse it, every node named; or it is no fused graph.
        DeviceError: TensorRT does not start.
    """
    builder = started(trt.Builder, log)
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = made(builder.create_network(flags), log, "make a network")
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        raise _unparsable([parser.get_error(index) for index in range(parser.num_errors)])
    log.take()
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = {network.get_output(index).name for index in range(network.num_outputs)}
    graph_size(inputs[0].name if inputs else "", _dimensions(inputs[0]) if inputs else (), outputs)
    return Parsed(builder, network, parser, graph)


def _dimensions(tensor: Any) -> list[int | str]:
    return ["N" if extent < 0 else extent for extent in extents(tensor.shape)]


def _unparsable(errors: list[Any]) -> BundleDamagedError:
    lines = [f"  {_where(error)}{error.desc().strip()}" for error in errors] or ["  no reason given"]
    return BundleDamagedError(
        f"The graph cannot be read by TensorRT {trt.__version__} ({len(errors)} error{'s' * (len(errors) != 1)}):\n"
        + "\n".join(lines),
        expected="a fused graph as edgerd export or edgerd quantize wrote it, and a TensorRT that knows its operators",
        hint="Update TensorRT, or copy the bundle again if edgerd show BUNDLE --verify finds it damaged.",
    )


def _where(error: Any) -> str:
    if error.node() < 0 or not error.node_operator():
        return ""
    return f"node {error.node()} {error.node_name()!r} ({error.node_operator()}): "
