"""The graph that an engine is compiled from: as it was exported, or with a lower precision written into it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from shlex import quote

from pydantic import ValidationError

from edgerd.bundle import Bundle
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import BundleDamagedError, BundleError
from edgerd.manifest import GRAPH_FILE
from edgerd.precision.quantise import int8_graph_file, quantised_graph
from edgerd.precision.ranges import MIN_PICTURES, RANGES_FILE, Ranges, collect_ranges
from edgerd.runtimes.machine import usable_cores


@dataclass(frozen=True)
class TypedGraph:
    """A graph with its precision written into it.

    Attributes:
        file: Its name in the bundle.
        content: ONNX.
        new_files: It and what it was made from, as far as the bundle lacks them; to be saved with an engine.
    """

    file: str
    content: bytes
    new_files: dict[str, bytes] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """What an engine's key says of it."""
        return hashlib.sha256(self.content).hexdigest()


def typed_graph(bundle: Bundle, precision: str, int8_flavour: str) -> TypedGraph:
    """The graph for a precision: the bundle's own where it has one, else made from its range pictures.

    Only INT8 has a graph of its own; a runtime makes the other precisions from the exported one.

    Args:
        bundle: Opened.
        precision: "fp32", "int8", ...
        int8_flavour: An entry of `edgerd.precision.flavours.FLAVOURS`.

    Raises:
        BundleError: INT8 is asked for, and the bundle has neither such a graph nor pictures to make it from.
    """
    if precision != "int8":
        return TypedGraph(GRAPH_FILE, bundle.read(GRAPH_FILE))
    file = int8_graph_file(int8_flavour)
    if file in bundle.manifest.files:
        return TypedGraph(file, bundle.read(file))
    graph = bundle.read(GRAPH_FILE)
    ranges = _ranges_of(bundle, graph)
    content = quantised_graph(graph, ranges, int8_flavour)
    return TypedGraph(file, content, {file: content, RANGES_FILE: ranges.model_dump_json().encode()})


def _ranges_of(bundle: Bundle, graph: bytes) -> Ranges:
    manifest = bundle.manifest
    if RANGES_FILE not in manifest.files:
        n_pictures = len(manifest.ranges) // manifest.preprocess.n_tiles
        if n_pictures < MIN_PICTURES:
            raise BundleError(
                f"{bundle.path} has {n_pictures or 'no'} pictures to find INT8 ranges from.",
                expected=f"{MIN_PICTURES} range pictures or more, as edgerd export puts them into the bundle",
                hint=f"Export again without --no-pictures: edgerd export RUN -o {quote(str(bundle.path))}",
            )
        pictures = load_bundle_pictures(bundle, manifest.ranges, manifest.preprocess)
        return collect_ranges(graph, pictures, threads=usable_cores())
    try:
        return Ranges.model_validate_json(bundle.read(RANGES_FILE))
    except ValidationError as error:
        raise BundleDamagedError(
            f"{RANGES_FILE} in {bundle.path} does not hold together: {error.errors()[0]['msg']}.",
            expected="ranges as edgerd build-engine writes them",
            hint="Export the bundle again.",
        ) from error
