"""From the graph in a bundle to an engine in it: compile, compare with FP32, find its threshold, store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from shlex import quote

import numpy as np

from edgerd.building.gate import MAX_MAP_ERROR, Budget, compare
from edgerd.building.scores import holdout_pictures, maps_of, scores_of
from edgerd.building.typed_graph import TypedGraph, typed_graph
from edgerd.bundle import Bundle
from edgerd.errors import BundleError, GateError, MissingDependencyError
from edgerd.evaluation.threshold import threshold_from_scores
from edgerd.manifest import EngineRecord, ThresholdRecord
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Engine, Maps
from edgerd.types import UInt8Array

AUTO_PRECISIONS = ("fp32", "bf16")
"""What "auto" chooses from. Not INT8: a gate on good pictures alone does not see what it costs in AUROC, and on mtd
that is twice the 0.003 aimed at (benchmarks/results/accuracy_int8.md)."""
_WARM_UP, _TIMED = 3, 15


@dataclass(frozen=True)
class Candidate:
    """One runtime and precision that was built: its record, its files, or why there is none."""

    runtime: str
    precision: str
    record: EngineRecord | None
    files: dict[str, bytes]
    reason: str = ""


@dataclass(frozen=True)
class Built:
    """What `build_engine` did: the new bundle, the engine it chose, and all that were tried."""

    bundle: Bundle
    chosen: EngineRecord
    candidates: tuple[Candidate, ...]


def build_engine(
    bundle: Bundle,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    pictures: UInt8Array | None = None,
    max_map_error: float | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Built:
    """Build engines, compare each with the FP32 graph, and install the fastest that passes as the default.

    Args:
        bundle: Calibrated.
        runtime: An entry of `RUNTIMES`, or "auto" for all that can be used here.
        precision: One that the runtime has here, or "auto" for all of `AUTO_PRECISIONS`.
        pictures: uint8 (n, T, H, W, 3), good ones for gate and threshold; None takes the held-out ones.
        max_map_error: Largest difference of two maps, in units of the map; None for a quarter of the threshold.
        force: Install the fastest even if the gate refuses all; the record says so.
        say: Told what is going on, a line at a time.

    Raises:
        GateError: None passed; nothing was changed.
        MissingDependencyError: The runtime, or the precision on this machine, is not there.
        BundleError: The bundle has no threshold or no pictures; for "int8" no range pictures.
    """
    manifest = bundle.manifest
    if manifest.threshold is None:
        raise BundleError(f"{bundle.path} has no threshold yet.", hint=f"edgerd calibrate {quote(str(bundle.path))}")
    wanted = _combinations(runtime, precision)
    good = holdout_pictures(bundle) if pictures is None else pictures
    threshold = manifest.threshold
    if len(good) < threshold.n_good:
        say(
            f"The bundle was calibrated on {threshold.n_good} good pictures, the engine's own threshold will be from "
            f"{len(good)}; give the same ones with --calibration DATA, or calibrate again afterwards."
        )
    budget = Budget(max_map_error=MAX_MAP_ERROR * threshold.value if max_map_error is None else max_map_error)
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        reference = list(maps_of(opened.engine, good))
    graph_of = cache(lambda kind, flavour: typed_graph(bundle, kind, flavour))
    candidates = []
    with ExitStack() as stack:
        engines = []
        for name, kind in wanted:
            graph = graph_of(kind, load_runtime(name).probe().int8_flavour)
            candidate, engine = _build_one(name, kind, graph, good, reference, threshold, budget)
            stack.callback(engine.close)
            candidates.append(candidate)
            engines.append(engine)
        candidates = _timed(candidates, engines, good[0])
    for candidate in candidates:
        say(describe_candidate(candidate))
    built = [(c, c.record) for c in candidates if c.record is not None]
    able = [(c, record) for c, record in built if record.gate.passed] or (built if force else [])
    if not able:
        raise GateError(
            "No engine was let through: " + "; ".join(f"{c.runtime} {c.precision}: {_refusal(c)}" for c in candidates),
            expected=f"maps within {budget.max_map_error:.4f} of the FP32 graph's, at most "
            f"{budget.max_flipped:.0%} of the verdicts flipped",
            hint="Allow more with --max-map-error X, or install it all the same with --force; the bundle is unchanged.",
        )
    best, record = min(able, key=lambda pair: pair[1].median_ms or float("inf"))
    return _install(bundle, record, best.files, tuple(candidates))


def describe_candidate(candidate: Candidate) -> str:
    """One line about a candidate, for people."""
    label = f"{candidate.runtime} {candidate.precision}:"
    if candidate.record is None:
        return f"{label} not built: {candidate.reason}"
    gate = candidate.record.gate
    verdict = "passes the gate" if gate.passed else "refused: " + "; ".join(gate.failures)
    return (
        f"{label} {candidate.record.median_ms:.1f} ms per picture, maps within {gate.max_map_error:.2e} of FP32, "
        f"{gate.verdicts_flipped} of {gate.n_pictures} verdicts flipped; {verdict}"
    )


def _combinations(runtime: str, precision: str) -> list[tuple[str, str]]:
    names = list(RUNTIMES) if runtime == "auto" else [runtime]
    probes = {name: load_runtime(name).probe() for name in names}
    wanted = AUTO_PRECISIONS if precision == "auto" else (precision,)
    found = [(n, p) for n, probe in probes.items() for p in probe.precisions if p in wanted]
    if found:
        return found
    reasons = "; ".join(f"{n}: {probe.reason or ', '.join(probe.precisions)}" for n, probe in probes.items())
    raise MissingDependencyError(
        f"This machine cannot run {'any runtime' if runtime == 'auto' else runtime}"
        f"{'' if precision == 'auto' else f' at {precision}'} ({reasons}).",
        expected="a runtime that is installed, and a precision it has here",
        hint=next((probe.fix for probe in probes.values() if probe.fix), "edgerd doctor"),
    )


def _build_one(
    name: str,
    precision: str,
    graph: TypedGraph,
    good: UInt8Array,
    reference: list[Maps],
    threshold: ThresholdRecord,
    budget: Budget,
) -> tuple[Candidate, Engine]:
    runtime = load_runtime(name)
    key = runtime.key(precision, graph.sha256)
    compiled = runtime.build(graph.content, precision)
    engine = runtime.load(graph.content, key, compiled)
    given = list(maps_of(engine, good))
    gate = compare(given, reference, threshold.value, budget)
    if not gate.finite:
        return Candidate(name, precision, None, {}, reason="; ".join(gate.failures)), engine
    own = threshold_from_scores(scores_of(given), threshold.false_alarm_rate)
    files = {f"engines/{name}-{precision}/{file}": content for file, content in compiled.items()}
    record = EngineRecord(key=key, files=tuple(files), graph=graph.file, threshold=own, gate=gate)
    return Candidate(name, precision, record, files | graph.new_files), engine


def _timed(candidates: list[Candidate], engines: list[Engine], tiles: UInt8Array) -> list[Candidate]:
    """Each candidate with its median milliseconds; the engines take turns, so that a busy moment slows all alike."""
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


def _install(bundle: Bundle, record: EngineRecord, files: dict[str, bytes], candidates: tuple[Candidate, ...]) -> Built:
    gate = record.gate.model_copy(update={"forced": not record.gate.passed})
    chosen = record.model_copy(update={"default": True, "gate": gate})
    others = [
        other.model_copy(update={"default": False}) for other in bundle.manifest.engines if other.name != record.name
    ]
    manifest = bundle.manifest.model_copy(update={"engines": (*others, chosen)})
    return Built(bundle.save_with(manifest, files), chosen, candidates)


def _refusal(candidate: Candidate) -> str:
    return candidate.reason if candidate.record is None else "; ".join(candidate.record.gate.failures)
