"""FP16 written into a graph by NVIDIA ModelOpt's AutoCast: the networks in FP16, what surrounds them in FP32.

AutoCast is told by name what to leave alone; otherwise it converts the head too, whose sums of squares overflow FP16.
It runs the graph on real pictures, and a node whose values exceed 512 on them stays FP32.
(https://nvidia.github.io/Model-Optimizer/guides/8_autocast.html)
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import onnx

from edgerd.errors import InputError, MissingDependencyError
from edgerd.graph_names import FRAME, UNQUANTIZED_PREFIXES
from edgerd.paths import temporary_folder
from edgerd.types import UInt8Array

N_PICTURES = 4
"""How many pictures AutoCast runs. It holds every tensor of each in memory; four are enough, because its limit of 512
leaves a factor of 128 to the largest value of FP16."""


def half_graph(graph: bytes, pictures: UInt8Array) -> bytes:
    """Write FP16 into the fused graph, with Q/DQ nodes in it or without.

    Args:
        graph: The fused graph, ONNX.
        pictures: uint8 (n, T, H, W, 3), BGR, at graph size; good parts. `N_PICTURES` of them are run.

    Returns:
        The same interface: `frame` uint8, outputs float32. The nodes keep their names and their order; Casts stand
        where the precision changes. The same graph and pictures give the same bytes.

    Raises:
        InputError: There are no pictures.
        MissingDependencyError: ModelOpt is not installed.
    """
    if not len(pictures):
        raise InputError(
            "There are no pictures to write FP16 by.",
            expected="range pictures, as edgerd export puts them into the bundle",
            hint="Export again without --no-pictures: edgerd export RUN -o BUNDLE",
        )
    chosen = pictures[np.linspace(0, len(pictures) - 1, min(N_PICTURES, len(pictures))).round().astype(int), 0]
    with temporary_folder() as folder, _without_news():
        convert = _autocast()
        source = folder / "graph.onnx"
        source.write_bytes(graph)
        samples = folder / "pictures"
        samples.mkdir()
        for index, picture in enumerate(chosen):
            np.savez(samples / f"{index}.npz", **{FRAME: picture[None]})
        model = convert(
            onnx_path=str(source),
            low_precision_type="fp16",
            nodes_to_exclude=[f"^{prefix}.*" for prefix in UNQUANTIZED_PREFIXES],
            keep_io_types=True,
            calibration_data=str(samples),
        )
    _in_order(model.graph, onnx.load_from_string(graph).graph)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def need_modelopt() -> None:
    """Find out at once whether `half_graph` can do its work.

    Raises:
        MissingDependencyError: ModelOpt is not installed.
    """
    with _without_news():
        _autocast()


def _autocast() -> Callable[..., onnx.ModelProto]:
    try:
        from modelopt.onnx.autocast import convert_to_mixed_precision
    except ImportError as error:
        raise MissingDependencyError(
            f"NVIDIA ModelOpt cannot be imported: {error}.",
            expected="ModelOpt with what its ONNX part needs, to write FP16 into a graph",
            hint='pip install "edgerd[quantize]"; a device builds from the graphs that another machine wrote',
        ) from error
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("modelopt")]:
        logging.getLogger(name).setLevel(logging.ERROR)  # otherwise it prints a line for each node
    convert: Callable[..., onnx.ModelProto] = convert_to_mixed_precision
    return convert


def _in_order(graph: onnx.GraphProto, source: onnx.GraphProto) -> None:
    """Sort nodes and constants as in the source, each Cast behind what it reads.

    AutoCast writes them in the order of a set, which differs from run to run.
    """
    place = {name: index for index, node in enumerate(source.node) for name in (node.name, *node.output)}

    def where(node: onnx.NodeProto) -> tuple[int, str]:
        # a Cast that AutoCast added has a name that the source does not know
        return (place[node.name], "") if node.name in place else (place.get(node.input[0], -1), node.name)

    nodes, constants = sorted(graph.node, key=where), sorted(graph.initializer, key=lambda constant: constant.name)
    for field, values in ((graph.node, nodes), (graph.initializer, constants), (graph.value_info, [])):
        kept = list(values)
        del field[:]
        field.extend(kept)


@contextmanager
def _without_news() -> Iterator[None]:
    """Keep from users the warnings of ModelOpt and of what it imports; they cannot act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
