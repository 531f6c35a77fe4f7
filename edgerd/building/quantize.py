"""Write typed graphs into a bundle, so that devices without a quantizer can build from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgerd.acceptance.scores import comparison_pictures, maps_of, scores_of
from edgerd.building.listener import SILENT, BuildListener, BuildStep
from edgerd.building.typed_graph import graphs_for_devices
from edgerd.bundle.bundle import Bundle, check_can_save
from edgerd.bundle.manifest import GRAPH_FILE, ThresholdRecord
from edgerd.calibration.new_ranges import engines_of_older_graphs, with_older_graphs
from edgerd.errors import GateError
from edgerd.precision.preset import Preset
from edgerd.precision.ranges import RANGES_FILE
from edgerd.runtimes.onnxruntime.cpu import OPTIMISED_FILE, OnnxRuntime
from edgerd.runtimes.protocol import Maps
from edgerd.types import UInt8Array

_ON_THRESHOLD = 1e-4


@dataclass(frozen=True)
class WrittenGraph:
    """A typed graph, and how far its numbers are from the FP32 graph's on good pictures.

    The figures are for people to look at. Whether an engine that is compiled from the graph may run is decided by the
    gate, on that engine.

    Attributes:
        file: Its name in the bundle.
        n_bytes: Its size.
        max_map_error: Largest absolute difference of the maps, in units of the map; NaN where they are not finite.
        n_flipped: How many pictures are on the other side of the FP32 threshold.
        n_pictures: How many pictures were compared.
    """

    file: str
    n_bytes: int
    max_map_error: float
    n_flipped: int
    n_pictures: int


@dataclass(frozen=True)
class Quantized:
    """What `quantize` did.

    Attributes:
        bundle: The bundle as it was saved.
        graphs: The typed graphs that were written.
        outdated: Names of engines that go on with a graph from before.
    """

    bundle: Bundle
    graphs: tuple[WrittenGraph, ...]
    outdated: tuple[str, ...]


def quantize(
    bundle: Bundle,
    preset: Preset | None = None,
    say: Callable[[str], None] = lambda _: None,
    listener: BuildListener = SILENT,
) -> Quantized:
    """Make every typed graph anew, check and compare each, and store all of them, or none.

    Engines that were compiled from a graph which is no longer the same keep it, under another name, and stay valid.

    Args:
        bundle: A calibrated bundle with pictures.
        preset: How the ranges are chosen, and from how many pictures; None for `Preset()`.
        say: Told what is going on, a line at a time.
        listener: Hears of each step.

    Raises:
        BundleError: It has no threshold or no pictures, or a graph breaks a rule of `edgerd.precision.lint`.
        GateError: A graph gives NaN or infinity.
        InputError: The bundle's ranges are of another graph, its graph's opset is too old, or the preset does not fit.
        MissingDependencyError: ModelOpt is not installed.
        StorageError: The bundle could not be written.
    """
    threshold, good = check_quantizable(bundle)

    def maps_of_graph(file: str, content: bytes) -> list[Maps]:
        listener.step_begins(BuildStep(f"comparing {file}", n_pictures=len(good)))
        return maps_as_written(content, good, listener.picture_done)

    reference = maps_of_graph(GRAPH_FILE, bundle.read(GRAPH_FILE))
    _refuse_broken([GRAPH_FILE] * any(not np.isfinite(maps.anomaly_map).all() for maps in reference))
    say("Writing graphs for TensorRT and for CPUs.")
    listener.step_begins(BuildStep("writing graphs"))
    files = graphs_for_devices(bundle, preset)
    say(f"Comparing each with FP32 on {len(good)} good pictures, its numbers as they are written.")
    graphs = tuple(
        _compared(file, content, maps_of_graph(file, content), reference, threshold.value)
        for file, content in files.items()
        if file != RANGES_FILE
    )
    _refuse_broken([graph.file for graph in graphs if not np.isfinite(graph.max_map_error)])
    there = bundle.manifest.files
    changed = [f for f, c in files.items() if f in there and there[f].sha256 != hashlib.sha256(c).hexdigest()]
    manifest, older = with_older_graphs(bundle, changed)
    return Quantized(bundle.save_with(manifest, files | older), graphs, engines_of_older_graphs(manifest))


def check_quantizable(bundle: Bundle) -> tuple[ThresholdRecord, UInt8Array]:
    """Find out what `quantize` needs before minutes of work: the threshold, and good pictures to compare on.

    Raises:
        BundleError: It has no threshold or no pictures.
        StorageError: It cannot be written where it lies.
    """
    check_can_save(bundle.path, in_place=True)
    good, _ = comparison_pictures(bundle)
    return bundle.need_threshold(), good


def _refuse_broken(files: Sequence[str]) -> None:
    if files:
        raise GateError(
            f"{', '.join(files)} gives NaN or infinity.",
            expected="finite maps on every good picture",
            hint="Train again, or leave parts in high precision with --preset FILE; the bundle is unchanged.",
        )


def _compared(
    file: str, content: bytes, given: Sequence[Maps], reference: Sequence[Maps], threshold: float
) -> WrittenGraph:
    errors = [np.abs(a.anomaly_map - b.anomaly_map).max() for a, b in zip(given, reference, strict=True)]
    scores, wanted = scores_of(given), scores_of(reference)
    # The threshold is often the score of one of these pictures; on which side of it that one falls is chance.
    apart = ~np.isclose(wanted, threshold, rtol=_ON_THRESHOLD, atol=0.0)
    flipped = int((((scores > threshold) != (wanted > threshold)) & apart).sum())
    return WrittenGraph(file, len(content), float(np.max(errors)), flipped, len(errors))


def maps_as_written(graph: bytes, pictures: UInt8Array, on_picture: Callable[[], None] = lambda: None) -> list[Maps]:
    """The maps that follow from a typed graph's numbers, on any CPU: no nodes are fused, and no integer kernel runs.

    So ONNX Runtime's optimiser must not touch the graph: it rounds the float bias of a convolution between Q/DQ nodes
    to integers (WeightBiasQuantization), in FP16 where the scales are FP16, which spoils the maps of a TensorRT graph
    (seen in 1.32).

    Args:
        graph: The typed graph, ONNX.
        pictures: uint8 (n, T, H, W, 3), BGR, at graph size.
        on_picture: Told after each picture.
    """
    runtime = OnnxRuntime()
    key = runtime.key("fp32", hashlib.sha256(graph).hexdigest())
    engine = runtime.load(graph, key, {OPTIMISED_FILE: graph})
    try:
        return list(maps_of(engine, pictures, on_picture))
    finally:
        engine.close()
