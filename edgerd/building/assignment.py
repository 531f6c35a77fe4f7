"""Search the precision of each block on this machine: which pictures decide, and where the search keeps its log."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import onnx

from edgerd.acceptance.gate import Budget
from edgerd.acceptance.gate_pictures import GatePictures
from edgerd.building.candidates import GraphSource, Standard
from edgerd.building.listener import SILENT, BuildListener, BuildStep
from edgerd.building.search import Found, Remembered, search
from edgerd.building.sensitivity import Sensitivity, deciding_pictures, split_labelled
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, ThresholdRecord
from edgerd.precision.body import blocks
from edgerd.runtimes import load_runtime
from edgerd.runtimes.machine import usable_cores


@dataclass(frozen=True)
class Searched:
    """A search on one runtime.

    Attributes:
        runtime: An entry of `RUNTIMES`.
        found: What was measured and chosen.
        log: The file that holds every measurement; of no more use once an engine was installed.
    """

    runtime: str
    found: Found
    log: Path


def search_assignments(
    bundle: Bundle,
    runtimes: tuple[str, ...],
    graph_of: GraphSource,
    pictures: GatePictures,
    budget: Budget,
    threshold: ThresholdRecord,
    listener: BuildListener = SILENT,
) -> tuple[list[Searched], GatePictures]:
    """Search on each runtime that has INT8 here; go on with searches that were stopped.

    Args:
        bundle: A bundle with range pictures. The search decides on those, never on the held-out ones.
        runtimes: Entries of `RUNTIMES`.
        graph_of: How typed graphs are made.
        pictures: The gate's pictures. Where some have labels, the search takes a part of those for itself.
        budget: How far an engine may be from the FP32 graph; the gate has the same.
        threshold: The FP32 graph's, as it stands in the bundle.
        listener: Hears of each measurement.

    Returns:
        What was found, and the pictures that are left for the gate.

    Raises:
        BundleError: The bundle was exported without pictures.
        StorageError: The log beside the bundle cannot be written.
    """
    labelled, rest = (None, pictures) if pictures.labelled is None else split_labelled(pictures)
    deciding = deciding_pictures(bundle, labelled, threshold, budget)
    searched = [_search(bundle, name, graph_of, deciding, listener) for name in runtimes]
    return searched, rest


def _search(
    bundle: Bundle,
    runtime: str,
    graph_of: GraphSource,
    deciding: Standard,
    listener: BuildListener,
) -> Searched:
    listener.step_begins(BuildStep("searching the precision of each block", f"{runtime} int8"))
    graph = bundle.read(GRAPH_FILE)
    path = Path(os.path.realpath(bundle.path))  # the bundle may be "."
    log = path.with_name(f"{path.name}.search-{runtime}.json")
    sensitivity = Sensitivity(runtime, graph_of, deciding)
    try:
        told = partial(listener.assignment_measured, runtime)
        measure = Remembered(sensitivity.measure, log, _key(runtime, sensitivity, deciding), told)
        return Searched(runtime, search(measure, blocks(onnx.load_from_string(graph).graph)), log)
    finally:
        sensitivity.close()


def _key(runtime: str, sensitivity: Sensitivity, deciding: Standard) -> str:
    """A hash over all that measurements depend on: the machine, the graph and its ranges, the pictures, the budget."""
    digest = hashlib.sha256()
    for part in _parts(runtime, sensitivity, deciding):
        digest.update(part)
    return digest.hexdigest()


def _parts(runtime: str, sensitivity: Sensitivity, deciding: Standard) -> Iterator[bytes]:
    pictures = deciding.pictures
    yield load_runtime(runtime).key("int8", sensitivity.graph_sha256).model_dump_json().encode()
    yield pictures.good.tobytes()
    if pictures.labelled is not None:
        yield pictures.labelled.tobytes()
    yield repr((pictures.labels.defects, astuple(deciding.budget), usable_cores())).encode()
    yield deciding.threshold.model_dump_json().encode()
    for mask in pictures.labels.masks:
        yield b"" if mask is None else mask.tobytes()
