"""From the graph in a bundle to an engine in it: build, compare with FP32, choose the fastest, store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from shlex import quote

from edgerd.building.candidates import Candidate, GraphSource, Standard, Wanted, build_candidate, timed
from edgerd.building.gate import MAX_MAP_ERROR, Budget
from edgerd.building.scores import holdout_pictures, maps_of
from edgerd.building.typed_graph import TypedGraph, typed_graph
from edgerd.bundle import Bundle
from edgerd.errors import BundleError, GateError, MissingDependencyError
from edgerd.manifest import EngineRecord, ThresholdRecord
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.types import UInt8Array

AUTO_PRECISIONS = ("fp32", "bf16")
"""What "auto" chooses from. Not INT8: a gate on good pictures alone does not see what it costs in AUROC, and on mtd
that is twice the 0.003 aimed at (benchmarks/results/accuracy_int8.md)."""


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
    graph_of: GraphSource | None = None,
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
        graph_of: How the graphs are made; None for `typed_graph` of this bundle.
        say: Told what is going on, a line at a time.

    Raises:
        GateError: None passed; nothing was changed.
        MissingDependencyError: The runtime, or the precision on this machine, is not there.
        BundleError: The bundle has no threshold or no pictures; for "int8" no range pictures.
    """
    threshold = _threshold_of(bundle)
    wanted = [Wanted(name, kind) for name, kind in _combinations(runtime, precision)]
    good = holdout_pictures(bundle) if pictures is None else pictures
    if len(good) < threshold.n_good:
        say(
            f"The bundle was calibrated on {threshold.n_good} good pictures, the engine's own threshold will be from "
            f"{len(good)}; give the same ones with --calibration DATA, or calibrate again afterwards."
        )
    budget = Budget(max_map_error=MAX_MAP_ERROR * threshold.value if max_map_error is None else max_map_error)
    standard = fp32_standard(bundle, good, threshold, budget)
    candidates = build_candidates(wanted, graph_of or graphs_of(bundle), standard)
    for candidate in candidates:
        say(str(candidate))
    return install(bundle, fastest(candidates, budget, force=force), candidates)


def fp32_standard(bundle: Bundle, good: UInt8Array, threshold: ThresholdRecord, budget: Budget) -> Standard:
    """Run the FP32 graph on pictures, for engines to be compared with."""
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        return Standard(good, list(maps_of(opened.engine, good)), threshold, budget)


def graphs_of(bundle: Bundle) -> GraphSource:
    """The typed graphs of a bundle, each made once."""

    @cache
    def graph_of(precision: str, int8_flavour: str, high_precision: tuple[str, ...]) -> TypedGraph:
        del high_precision
        return typed_graph(bundle, precision, int8_flavour)

    return graph_of


def build_candidates(wanted: Sequence[Wanted], graph_of: GraphSource, standard: Standard) -> tuple[Candidate, ...]:
    """Build, compare and time all that are wanted; their engines are closed again.

    Raises:
        As `build_candidate`.
    """
    with ExitStack() as stack:
        candidates, engines = [], []
        for each in wanted:
            candidate, engine = build_candidate(each, graph_of, standard)
            stack.callback(engine.close)
            candidates.append(candidate)
            engines.append(engine)
        return tuple(timed(candidates, engines, standard.good[0]))


def fastest(candidates: Sequence[Candidate], budget: Budget, *, force: bool = False) -> Candidate:
    """The fastest that passed the gate; with `force` the fastest of all, if none did.

    Raises:
        GateError: There is none.
    """
    built = [(candidate, candidate.record) for candidate in candidates if candidate.record is not None]
    able = [(c, record) for c, record in built if record.gate.passed] or (built if force else [])
    if not able:
        raise GateError(
            "No engine was let through: " + "; ".join(f"{c.runtime} {c.precision}: {c.refusal}" for c in candidates),
            expected=f"maps within {budget.max_map_error:.4f} of the FP32 graph's, at most "
            f"{budget.max_flipped:.0%} of the verdicts flipped",
            hint="Allow more with --max-map-error X, or install it all the same with --force; the bundle is unchanged.",
        )
    return min(able, key=lambda pair: pair[1].median_ms or float("inf"))[0]


def install(bundle: Bundle, best: Candidate, candidates: Sequence[Candidate]) -> Built:
    """Store an engine in the bundle as its default; one of the same runtime and precision makes way.

    Raises:
        StorageError: The bundle could not be written.
    """
    if best.record is None:
        raise ValueError(f"{best} was not built")
    gate = best.record.gate.model_copy(update={"forced": not best.record.gate.passed})
    chosen = best.record.model_copy(update={"default": True, "gate": gate})
    others = [
        other.model_copy(update={"default": False}) for other in bundle.manifest.engines if other.name != chosen.name
    ]
    manifest = bundle.manifest.model_copy(update={"engines": (*others, chosen)})
    return Built(bundle.save_with(manifest, best.files), chosen, tuple(candidates))


def _threshold_of(bundle: Bundle) -> ThresholdRecord:
    if bundle.manifest.threshold is None:
        raise BundleError(f"{bundle.path} has no threshold yet.", hint=f"edgerd calibrate {quote(str(bundle.path))}")
    return bundle.manifest.threshold


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
