"""The graph that an engine is compiled from: as it was exported, or with a lower precision written into it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from shlex import quote

import numpy as np
import onnx
from pydantic import ValidationError

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, Manifest
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import BundleDamagedError, BundleError
from edgerd.precision import tensorrt
from edgerd.precision.body import first_block, first_stage
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.half import half_graph, need_modelopt
from edgerd.precision.lint import Target, assert_clean
from edgerd.precision.origin import Origin, origin_of, with_origin
from edgerd.precision.preset import Preset
from edgerd.precision.quantize import int8_graph_file, quantized_graph
from edgerd.precision.ranges import MIN_RANGE_PICTURES, RANGES_FILE, Ranges, TensorRange, collect_ranges
from edgerd.precision.scales import symmetric_scale
from edgerd.runtimes.machine import usable_cores
from edgerd.types import UInt8Array

DEVICE_FLAVOURS = ("u8s8", "u8s8-fused", "s8s8")
"""CPU flavours that travel in a bundle: x86 with VNNI, and Arm. The device makes any other from the ranges."""
_VARIANT = re.compile(r"graph\.int8\.[\w-]+\.[0-9a-f]{8}\.onnx")
"""File names of INT8 graphs with a preset or blocks of their own; the digits are `Origin.digest`."""


@dataclass(frozen=True)
class TypedGraph:
    """A graph with its precision written into it.

    Attributes:
        file: Its name in the bundle.
        content: ONNX.
        new_files: The graph and what it was made from, as far as the bundle lacks them; they are saved with the engine.
        high_precision: Blocks that an INT8 graph leaves in high precision.
    """

    file: str
    content: bytes
    new_files: dict[str, bytes] = field(default_factory=dict)
    high_precision: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of the content; an engine's key has the same."""
        return hashlib.sha256(self.content).hexdigest()


RangesSource = Callable[[int], Ranges]
"""Gives the ranges from so many pictures."""


def typed_graph(
    bundle: Bundle,
    precision: str,
    int8_flavour: str,
    preset: Preset | None = None,
    high_precision: tuple[str, ...] | None = None,
    ranges_of: RangesSource | None = None,
) -> TypedGraph:
    """The graph for a precision: the bundle's own where it has one, else made from its range pictures.

    INT8 has a graph for each flavour, and FP16 has one, which TensorRT and ONNX Runtime's CUDA provider take; a runtime
    makes the other precisions from the exported graph. Without preset and blocks, INT8 is the graph that `edgerd
    quantize` put into the bundle, whatever preset that was given. With either of them, INT8 is a graph of just that.

    Args:
        bundle: Where the graph is, or what it is made from.
        precision: "fp32", "int8", ...
        int8_flavour: An entry of `edgerd.precision.flavours.FLAVOURS`, or `edgerd.precision.tensorrt.FLAVOUR`.
        preset: How INT8 ranges are chosen; None for `Preset()`.
        high_precision: Blocks that INT8 leaves out, beside the preset's; None for `usually_kept`.
        ranges_of: Gives the ranges, so that they are collected once for several graphs; None for the bundle's.

    Raises:
        BundleError: The bundle has neither such a graph nor pictures to make it from, or the graph breaks a rule.
        InputError: Its ranges are of another graph, or the preset names a part that is not in the graph.
        MissingDependencyError: A TensorRT graph is not in the bundle, and ModelOpt is not here to make it.
    """
    graph = bundle.read(GRAPH_FILE)
    ranges_of = ranges_of or (lambda n_pictures: bundle_ranges(bundle, graph, n_pictures))
    if precision == "int8":
        return _int8_graph(bundle, graph, int8_flavour, preset, high_precision, ranges_of)
    is_typed = precision == "fp16" or int8_flavour == tensorrt.FLAVOUR
    file = tensorrt.GRAPH_FILES.get(precision, GRAPH_FILE) if is_typed else GRAPH_FILE
    if file in bundle.manifest.files:
        return TypedGraph(file, bundle.read(file))
    content = _checked(file, half_graph(graph, _range_pictures(bundle)), "tensorrt")
    return TypedGraph(file, content, {file: content})


def _int8_graph(
    bundle: Bundle,
    graph: bytes,
    flavour: str,
    preset: Preset | None,
    high_precision: tuple[str, ...] | None,
    ranges_of: RangesSource,
) -> TypedGraph:
    stored, usual = bundle.manifest.files, usually_kept(graph, flavour)
    file, is_told = int8_graph_file(flavour), preset is not None or high_precision is not None
    preset = preset or Preset()
    kept = usual if high_precision is None else high_precision
    origin = Origin.of(preset, kept)
    if file in stored:
        content = bundle.read(file)
        there = origin_of(content)
        if not is_told or (there is not None and there.digest == origin.digest):
            return TypedGraph(file, content, high_precision=there.high_precision if there else usual)
    if file in stored or origin.digest != Origin.of(Preset(), usual).digest:
        file = file.replace(".onnx", f".{origin.digest}.onnx")
    if file in stored:
        return TypedGraph(file, bundle.read(file), high_precision=origin.high_precision)
    if flavour == tensorrt.FLAVOUR:
        need_modelopt()  # before a minute is spent on collecting ranges
    ranges = ranges_of(preset.n_pictures)
    content = _written(bundle, graph, ranges, flavour, preset, kept)
    files = {file: content}
    if file == int8_graph_file(flavour) or RANGES_FILE not in stored:
        files[RANGES_FILE] = ranges.model_dump_json().encode()
    return TypedGraph(file, content, files, origin.high_precision)


def graphs_for_devices(bundle: Bundle, preset: Preset | None = None) -> dict[str, bytes]:
    """Every typed graph that a device may want, made anew and checked by `edgerd.precision.lint`.

    They have the names of the usual graphs, whatever the preset, so that a device builds from them without being told.

    Args:
        bundle: A bundle with range pictures.
        preset: How the ranges are chosen, and from how many pictures; None for `Preset()`.

    Returns:
        File name to content: TensorRT's FP16 and INT8 graph, the `DEVICE_FLAVOURS`, and the ranges.

    Raises:
        BundleError: The bundle has no range pictures, or a graph breaks a rule.
        InputError: Its ranges are of another graph, its graph's opset is too old, or the preset names a part that is
            not in the graph.
        MissingDependencyError: ModelOpt is not installed.
    """
    graph, preset, half = bundle.read(GRAPH_FILE), preset or Preset(), tensorrt.GRAPH_FILES["fp16"]
    files = {half: _checked(half, half_graph(graph, _range_pictures(bundle)), "tensorrt")}
    ranges = bundle_ranges(bundle, graph, preset.n_pictures)
    for flavour in (tensorrt.FLAVOUR, *DEVICE_FLAVOURS):
        kept = usually_kept(graph, flavour)
        files[int8_graph_file(flavour)] = _written(bundle, graph, ranges, flavour, preset, kept)
    return files | {RANGES_FILE: ranges.model_dump_json().encode()}


def usually_kept(graph: bytes, int8_flavour: str) -> tuple[str, ...]:
    """The blocks that an INT8 graph leaves in high precision where nobody says which."""
    parsed = onnx.load_from_string(graph).graph
    return first_stage(parsed) if int8_flavour == tensorrt.FLAVOUR else first_block(parsed)


def unused_variants(manifest: Manifest) -> list[str]:
    """Names of INT8 graphs with a preset or blocks of their own that no engine in the bundle was compiled from."""
    return [name for name in manifest.files if _VARIANT.fullmatch(name) and name not in manifest.named_files]


def _written(
    bundle: Bundle, graph: bytes, ranges: Ranges, flavour: str, preset: Preset, high_precision: tuple[str, ...]
) -> bytes:
    """Write an INT8 graph with its origin in it, and check it against the rules of its runtime."""
    if flavour == tensorrt.FLAVOUR:
        content = half_graph(_tensorrt_int8(graph, ranges, preset, high_precision), _range_pictures(bundle))
        target: Target = "tensorrt"
    else:
        content = quantized_graph(graph, ranges, flavour, preset, high_precision)
        target = FLAVOURS[flavour].target
    return _checked(int8_graph_file(flavour), with_origin(content, Origin.of(preset, high_precision)), target)


def _tensorrt_int8(graph: bytes, ranges: Ranges, preset: Preset, high_precision: tuple[str, ...]) -> bytes:
    choices = preset.choices(onnx.load_from_string(graph).graph)

    def scale_of(name: str, found: TensorRange) -> float:
        return float(symmetric_scale(found, choices[name]))

    return tensorrt.tensorrt_int8_graph(graph, ranges, scale_of, (*preset.high_precision, *high_precision))


def _checked(file: str, content: bytes, target: Target) -> bytes:
    assert_clean(content, target, file)
    return content


def _range_pictures(bundle: Bundle) -> UInt8Array:
    """The bundle's range pictures, uint8 (n, T, H, W, 3), BGR, at graph size."""
    manifest, n_pictures = bundle.manifest, _n_range_pictures(bundle)
    if n_pictures < MIN_RANGE_PICTURES:
        raise BundleError(
            f"{bundle.path} has {n_pictures or 'no'} pictures to find INT8 ranges from.",
            expected=f"{MIN_RANGE_PICTURES} range pictures or more, as edgerd export puts them into the bundle",
            hint=f"Export again without --no-pictures: edgerd export RUN -o {quote(str(bundle.path))}; or give "
            "pictures of good parts with --ranges DIR",
        )
    return load_bundle_pictures(bundle, manifest.ranges, manifest.preprocess)


def bundle_ranges(bundle: Bundle, graph: bytes, n_pictures: int) -> Ranges:
    """The bundle's ranges; they are collected where it has none, or has them from another number of pictures.

    Args:
        bundle: A bundle with ranges or range pictures.
        graph: The FP32 graph, ONNX.
        n_pictures: How many pictures they are found from, as far as there are so many.
    """
    if RANGES_FILE in bundle.manifest.files:
        ranges = _stored_ranges(bundle)
        if not bundle.manifest.ranges or ranges.n_pictures == min(n_pictures, _n_range_pictures(bundle)):
            return ranges
    pictures = _range_pictures(bundle)
    if n_pictures < len(pictures):
        pictures = pictures[np.linspace(0, len(pictures) - 1, n_pictures).round().astype(int)]
    return collect_ranges(graph, pictures, threads=usable_cores())


def _n_range_pictures(bundle: Bundle) -> int:
    return len(bundle.manifest.ranges) // bundle.manifest.preprocess.n_tiles


def _stored_ranges(bundle: Bundle) -> Ranges:
    try:
        return Ranges.model_validate_json(bundle.read(RANGES_FILE))
    except ValidationError as error:
        raise BundleDamagedError(
            f"{RANGES_FILE} in {bundle.path} does not hold together: {error.errors()[0]['msg']}.",
            expected="ranges as edgerd build-engine writes them",
            hint="Export the bundle again.",
        ) from error
