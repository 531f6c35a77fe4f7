"""Build the engines that one is chosen from: compile each, compare it with the FP32 graph, and time all in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import onnx
from onnx import numpy_helper

from edgerd.acceptance.gate import Budget, compare, own_threshold
from edgerd.acceptance.gate_pictures import GatePictures
from edgerd.acceptance.outputs import Outputs
from edgerd.acceptance.scores import maps_of, shown_maps
from edgerd.building.listener import SILENT, BuildListener, BuildStep
from edgerd.building.typed_graph import TypedGraph
from edgerd.bundle.manifest import EngineRecord, GateReport, ThresholdRecord
from edgerd.errors import EdgerdError
from edgerd.inspection.self_test import StoredPicture, note_score
from edgerd.runtimes import load_runtime
from edgerd.runtimes.protocol import Engine, Maps, Runtime
from edgerd.types import UInt8Array

_WARM_UP, _TIMED = 3, 15


RuntimeSource = Callable[[str], Runtime]
"""Gives the runtime of a name: `load_runtime`, or a function that makes one with build options of its own."""


class GraphSource(Protocol):
    """Makes a graph with its precision written into it: `graphs_of` a bundle, or what a test puts in its place."""

    def __call__(self, precision: str, int8_flavour: str, high_precision: tuple[str, ...] | None) -> TypedGraph:
        """The graph for a precision.

        Args:
            precision: "fp32", "int8", ...
            int8_flavour: The flavour that the runtime's probe names.
            high_precision: Blocks that INT8 leaves as they are; None for those that it usually leaves.
        """
        ...


@dataclass(frozen=True)
class Wanted:
    """An engine that is to be built.

    Attributes:
        runtime: An entry of `RUNTIMES`.
        precision: A precision that the runtime has on this machine.
        high_precision: Blocks that INT8 leaves in high precision; None for those that its graph usually does.
    """

    runtime: str
    precision: str
    high_precision: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


@dataclass(frozen=True)
class LeftOut:
    """An engine that was to be built with others, and cannot be built on this machine.

    Attributes:
        wanted: What was to be built.
        error: Why it cannot be built here, and what would help.
    """

    wanted: Wanted
    error: EdgerdError

    def __str__(self) -> str:
        return f"{self.wanted} is left out: {self.error.what} {self.error.hint or ''}".rstrip()


@dataclass(frozen=True, eq=False)
class Standard:
    """What engines are compared with.

    Attributes:
        pictures: The pictures that every engine is run on.
        reference: The FP32 graph's maps and scores of these pictures.
        threshold: The FP32 graph's, as it stands in the bundle.
        stored: A picture of the bundle whose score is noted for the self-test; None where it has none.
        budget: How far an engine may be from the FP32 graph.
    """

    pictures: GatePictures
    reference: Outputs
    threshold: ThresholdRecord
    budget: Budget
    stored: StoredPicture | None = None


@dataclass(frozen=True)
class Candidate:
    """An engine that was built, and may be installed.

    Attributes:
        wanted: What was built; its blocks in high precision are those that the graph really has.
        gate: How it compares with the FP32 graph.
        record: Its record for the manifest; None where its maps are not finite, so that it has no threshold.
        files: The files that the bundle lacks for it, name to content.
    """

    wanted: Wanted
    gate: GateReport
    record: EngineRecord | None
    files: dict[str, bytes]

    @property
    def runtime(self) -> str:
        """Its runtime, an entry of `RUNTIMES`."""
        return self.wanted.runtime

    @property
    def precision(self) -> str:
        """Its precision, "fp32", "int8", ..."""
        return self.wanted.precision

    @property
    def high_precision(self) -> tuple[str, ...]:
        """The blocks that it leaves in high precision; empty but for INT8."""
        return self.wanted.high_precision or ()

    @property
    def name(self) -> str:
        """What commands call it."""
        kept = f" with {', '.join(self.high_precision)} in high precision" if self.high_precision else ""
        return f"{self.runtime} {self.precision}{kept}"

    def __str__(self) -> str:
        gate = self.gate
        verdict = "passes the gate" if gate.passed else f"refused: {'; '.join(gate.failures)}"
        if self.record is None:
            return f"{self.name}: {verdict}"
        speed = f"{self.record.median_ms:.1f} ms per picture, " if self.record.median_ms is not None else ""
        return (
            f"{self.name}: {speed}maps within {gate.max_map_error:.2e} of FP32, "
            f"{gate.verdicts_flipped} of {gate.n_pictures} verdicts flipped; {verdict}"
        )


def n_pictures_in(pictures: GatePictures) -> int:
    """How many pictures `outputs_of` runs an engine on."""
    n_labelled = 0 if pictures.labelled is None else len(pictures.labelled)
    return len(pictures.good) + len(pictures.pasted.pictures) + n_labelled


def outputs_of(engine: Engine, pictures: GatePictures, on_picture: Callable[[], None] = lambda: None) -> Outputs:
    """Run an engine on all of the gate's pictures; the maps of all of them are held in memory, without padding."""

    def outputs(some: UInt8Array) -> list[Maps]:
        maps = list(maps_of(engine, some, on_picture))
        return list(map(shown_maps, maps, some)) if pictures.padded else maps

    good, pasted = outputs(pictures.good), outputs(pictures.pasted.pictures)
    labelled = [] if pictures.labelled is None else outputs(pictures.labelled)
    return Outputs(good, pictures.n_never_seen, labelled, pictures.labels, pasted)


def build_candidate(
    wanted: Wanted,
    graph_of: GraphSource,
    standard: Standard,
    runtime_of: RuntimeSource = load_runtime,
    *,
    listener: BuildListener = SILENT,
    place: tuple[int, int] = (1, 1),
) -> tuple[Candidate, Engine]:
    """Compile one engine, compare it with the FP32 graph and find its own threshold. It is not timed yet.

    Args:
        wanted: What to build.
        graph_of: How its graph is made.
        standard: What it is compared with.
        runtime_of: How its runtime is made.
        listener: Hears what is being done.
        place: Which of the engines that are built it is, from 1 on, and how many there are.

    Returns:
        The candidate, and its engine, which the caller closes.

    Raises:
        MissingDependencyError: The runtime is not installed.
        InputError: It cannot run that precision here.
        BundleError: The graph cannot be made, or not read.
        DeviceError: A GPU refuses to build or to run it.
    """
    runtime = runtime_of(wanted.runtime)
    listener.step_begins(BuildStep("building", str(wanted), *place))
    graph = graph_of(wanted.precision, runtime.probe().int8_flavour, wanted.high_precision)
    wanted = replace(wanted, high_precision=graph.high_precision)
    key = runtime.key(wanted.precision, graph.sha256)
    compiled = runtime.build(graph.content, wanted.precision)
    engine = runtime.load(graph.content, key, compiled)
    n_pictures = n_pictures_in(standard.pictures)
    listener.step_begins(BuildStep("comparing with FP32", str(wanted), *place, n_pictures))
    try:
        given = outputs_of(engine, standard.pictures, listener.picture_done)
        self_test = note_score(engine, standard.stored)
    except BaseException:
        engine.close()
        raise
    listener.step_begins(BuildStep("the checks of the gate", str(wanted), *place))
    broken = broken_weights(graph.content)
    gate = compare(given, standard.reference, standard.threshold, standard.budget, broken)
    if not gate.finite:
        return Candidate(wanted, gate, None, {}), engine
    files = {f"engines/{wanted.runtime}-{wanted.precision}/{file}": content for file, content in compiled.items()}
    record = EngineRecord(
        key=key,
        files=tuple(files),
        graph=graph.file,
        threshold=own_threshold(given, standard.reference, standard.threshold),
        gate=gate,
        high_precision=graph.high_precision,
        self_test=self_test,
    )
    return Candidate(wanted, gate, record, files | graph.new_files), engine


def broken_weights(graph: bytes) -> tuple[str, ...]:
    """Names of the constants of an ONNX graph that hold NaN or infinity."""
    constants = onnx.load_from_string(graph).graph.initializer
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    return tuple(
        constant.name
        for constant in constants
        if constant.data_type in floats and not np.isfinite(numpy_helper.to_array(constant)).all()
    )


def timed(candidates: Sequence[Candidate], engines: Sequence[Engine], tiles: UInt8Array) -> list[Candidate]:
    """Measure the median milliseconds of each candidate; the engines take turns, so that a busy moment slows all alike.

    Args:
        candidates: What `build_candidate` gave.
        engines: The engine of each candidate, in the same order.
        tiles: One picture, uint8 (T, H, W, 3).

    Returns:
        The candidates with `median_ms` in their records.
    """
    times_ms: list[list[float]] = [[] for _ in engines]
    for _ in range(_WARM_UP + _TIMED):
        for engine, taken in zip(engines, times_ms, strict=True):
            start = time.perf_counter()
            engine.infer(tiles)
            taken.append(1e3 * (time.perf_counter() - start))
    return [
        replace(candidate, record=candidate.record and _with_median(candidate.record, taken[_WARM_UP:]))
        for candidate, taken in zip(candidates, times_ms, strict=True)
    ]


def _with_median(record: EngineRecord, times_ms: list[float]) -> EngineRecord:
    return record.model_copy(update={"median_ms": round(float(np.median(times_ms)), 3)})
