"""Engines that were built to choose from: compiled, compared with the FP32 graph, timed in turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edgerd.building.gate import Budget, compare
from edgerd.building.scores import maps_of, scores_of
from edgerd.building.typed_graph import TypedGraph
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.manifest import EngineRecord, ThresholdRecord
from edgerd.runtimes import load_runtime
from edgerd.runtimes.protocol import Engine, Maps
from edgerd.types import UInt8Array

_WARM_UP, _TIMED = 3, 15


class GraphSource(Protocol):
    """How a graph with its precision written into it is made; `typed_graph` of a bundle, or what a test puts there."""

    def __call__(self, precision: str, int8_flavour: str, high_precision: tuple[str, ...]) -> TypedGraph:
        """The graph for a precision, the blocks whose names begin with one of `high_precision` left as they are."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What to build.

    Attributes:
        runtime: An entry of `RUNTIMES`.
        precision: One that it has here.
        high_precision: Name prefixes of the blocks that INT8 leaves in high precision.
    """

    runtime: str
    precision: str
    high_precision: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Standard:
    """What engines are held to.

    Attributes:
        good: Good pictures that training never saw, uint8 (n, T, H, W, 3).
        reference: What the FP32 graph gave for them, in their order.
        threshold: The FP32 graph's.
        budget: How far an engine may be from it.
    """

    good: UInt8Array
    reference: Sequence[Maps]
    threshold: ThresholdRecord
    budget: Budget


@dataclass(frozen=True)
class Candidate:
    """One that was built: its record and its files, or why there is none."""

    wanted: Wanted
    record: EngineRecord | None
    files: dict[str, bytes]
    reason: str = ""

    @property
    def runtime(self) -> str:
        """An entry of `RUNTIMES`."""
        return self.wanted.runtime

    @property
    def precision(self) -> str:
        """ "fp32", "int8", ..."""
        return self.wanted.precision

    @property
    def high_precision(self) -> tuple[str, ...]:
        """Name prefixes of the blocks that INT8 leaves in high precision."""
        return self.wanted.high_precision

    @property
    def refusal(self) -> str:
        """Why it is not let through; empty where it is."""
        return self.reason if self.record is None else "; ".join(self.record.gate.failures)

    def __str__(self) -> str:
        kept = f" with {', '.join(self.high_precision)} in high precision" if self.high_precision else ""
        label = f"{self.runtime} {self.precision}{kept}:"
        if self.record is None:
            return f"{label} not built: {self.reason}"
        gate = self.record.gate
        verdict = "passes the gate" if gate.passed else f"refused: {self.refusal}"
        return (
            f"{label} {self.record.median_ms:.1f} ms per picture, maps within {gate.max_map_error:.2e} of FP32, "
            f"{gate.verdicts_flipped} of {gate.n_pictures} verdicts flipped; {verdict}"
        )


def build_candidate(wanted: Wanted, graph_of: GraphSource, standard: Standard) -> tuple[Candidate, Engine]:
    """Compile one engine, compare it with the FP32 graph, find its own threshold; not timed yet.

    Returns:
        The candidate, and its engine, which the caller closes.

    Raises:
        MissingDependencyError: The runtime is not installed.
        InputError: It cannot run that precision here.
        BundleError: The graph cannot be made, or not read.
    """
    runtime = load_runtime(wanted.runtime)
    graph = graph_of(wanted.precision, runtime.probe().int8_flavour, wanted.high_precision)
    key = runtime.key(wanted.precision, graph.sha256)
    compiled = runtime.build(graph.content, wanted.precision)
    engine = runtime.load(graph.content, key, compiled)
    given = list(maps_of(engine, standard.good))
    gate = compare(given, standard.reference, standard.threshold.value, standard.budget)
    if not gate.finite:
        return Candidate(wanted, None, {}, reason="; ".join(gate.failures)), engine
    own = threshold_from_scores(scores_of(given), standard.threshold.false_alarm_rate)
    files = {f"engines/{wanted.runtime}-{wanted.precision}/{file}": content for file, content in compiled.items()}
    record = EngineRecord(
        key=key,
        files=tuple(files),
        graph=graph.file,
        threshold=own,
        gate=gate,
        high_precision=wanted.high_precision,
    )
    return Candidate(wanted, record, files | graph.new_files), engine


def timed(candidates: Sequence[Candidate], engines: Sequence[Engine], tiles: UInt8Array) -> list[Candidate]:
    """Each candidate with its median milliseconds; the engines take turns, so that a busy moment slows all alike.

    Args:
        candidates: As `build_candidate` gave them.
        engines: Theirs.
        tiles: One picture, uint8 (T, H, W, 3).
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
