"""From the graph in a bundle to an engine in it: build, compare with FP32, choose the fastest, store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from shlex import quote

from edgerd.building.assignment import Searched, search_assignments
from edgerd.building.candidates import (
    Candidate,
    GraphSource,
    RuntimeSource,
    Standard,
    Wanted,
    build_candidate,
    outputs_of,
    timed,
)
from edgerd.building.gate import MAX_AUROC_DROP, Budget
from edgerd.building.gate_pictures import GatePictures, gate_pictures
from edgerd.building.sensitivity import Measured
from edgerd.building.typed_graph import TypedGraph, bundle_ranges, typed_graph, usually_kept
from edgerd.bundle import Bundle
from edgerd.errors import BundleDamagedError, BundleError, GateError, InputError, MissingDependencyError
from edgerd.manifest import GRAPH_FILE, EngineRecord, ThresholdRecord
from edgerd.precision.preset import Preset
from edgerd.precision.ranges import Ranges
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine

AUTO_PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""What "auto" chooses from, where a runtime has it."""
_NOT_SEARCHED = ("tensorrt",)
"""A build takes TensorRT minutes, and a search some twenty: its INT8 goes to the gate as it is."""


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
    pictures: GatePictures | None = None,
    max_map_error: float | None = None,
    max_auroc_drop: float | None = None,
    force: bool = False,
    preset: Preset | None = None,
    graph_of: GraphSource | None = None,
    runtime_of: RuntimeSource = load_runtime,
    say: Callable[[str], None] = lambda _: None,
    on_candidate: Callable[[Candidate], None] = lambda _: None,
    on_measured: Callable[[str, Measured], None] = lambda _, __: None,
    on_searched: Callable[[Searched], None] = lambda _: None,
) -> Built:
    """Build engines, compare each with the FP32 graph, and install the fastest that passes as the default.

    With "auto" and a budget, the precision of each block of INT8 is searched for first (`edgerd.building.search`).

    Args:
        bundle: Calibrated.
        runtime: An entry of `RUNTIMES`, or "auto" for all that can be used here.
        precision: One that the runtime has here, or "auto" for all of `AUTO_PRECISIONS`.
        pictures: For gate and threshold; None takes the held-out ones.
        max_map_error: Largest difference of two maps, in units of the map; None for a quarter of the threshold.
        max_auroc_drop: Of image AUROC, pixel AUROC and AUPRO on labelled pictures; None for `MAX_AUROC_DROP`.
        force: Install the fastest even if the gate refuses all; the record says so.
        preset: How INT8 ranges are chosen, and which blocks stay out of INT8; None for what is usual.
        graph_of: How the graphs are made; None for `graphs_of` this bundle and preset.
        runtime_of: How the runtimes are made; one may be told how to build.
        say: Told what a person should know, a line at a time.
        on_candidate: Told of each engine once it was built, compared and timed.
        on_measured: Told of a runtime and each assignment that was measured on it.
        on_searched: Told of each search that has ended.

    Raises:
        GateError: None passed; nothing was changed.
        MissingDependencyError: The runtime, or the precision on this machine, is not there.
        BundleError: The bundle has no threshold or no pictures; for "int8" no range pictures.
        InputError: An AUROC drop is given, and there are no labelled pictures; or a preset, and nothing is INT8.
    """
    threshold = _threshold_of(bundle)
    if preset is not None and precision != "int8":
        raise InputError(
            f"A preset says how INT8 ranges are chosen; --precision {precision} has none.",
            expected="--precision int8",
            hint="Add it, or leave --preset out.",
        )
    wanted = [
        _wanted(bundle, name, kind, preset, runtime_of) for name, kind in combinations(runtime, precision, runtime_of)
    ]
    judged_by = gate_pictures(bundle) if pictures is None else pictures
    budget = budget_for(threshold, judged_by, max_map_error, max_auroc_drop)
    graph_of = graph_of or graphs_of(bundle, preset)
    if len(wanted) > 1:
        wanted = [each for each in wanted if _has_graph(each, graph_of, runtime_of, say)] or wanted[:1]
    searched: list[Searched] = []
    able = tuple(each.runtime for each in wanted if each.precision == "int8" and each.runtime not in _NOT_SEARCHED)
    if able and precision == "auto" and (max_map_error is not None or max_auroc_drop is not None):
        rate = threshold.false_alarm_rate
        searched, judged_by = search_assignments(bundle, able, graph_of, judged_by, budget, rate, on_measured)
        wanted = _with_assignments(wanted, searched)
    for each in searched:
        on_searched(each)
    if len(judged_by.good) < threshold.n_good:
        say(
            f"The bundle was calibrated on {threshold.n_good} good pictures, the engine's own threshold will be from "
            f"{len(judged_by.good)}; give the same ones with --calibration DATA, or calibrate again afterwards."
        )
    standard = fp32_standard(bundle, judged_by, threshold, budget)
    candidates = build_candidates(wanted, graph_of, standard, runtime_of)
    for candidate in candidates:
        on_candidate(candidate)
    built = install(bundle, fastest(candidates, force=force), candidates)
    for each in searched:
        each.log.unlink(missing_ok=True)
    return built


def _with_assignments(wanted: Sequence[Wanted], searched: Sequence[Searched]) -> list[Wanted]:
    """INT8 as the search found it, and all in INT8 if that is within budget; where nothing was, the rest alone.

    The engines are timed once more, all in turns: what a busy moment made look faster is then not taken.
    """
    runtimes = {each.runtime for each in searched}
    found = [
        Wanted(each.runtime, "int8", high_precision)
        for each in searched
        for high_precision in dict.fromkeys(
            measured.high_precision
            for measured in (each.found.all_int8, each.found.chosen)
            if measured is not None and measured.passed
        )
    ]
    return [each for each in wanted if each.precision != "int8" or each.runtime not in runtimes] + found


def _has_graph(wanted: Wanted, graph_of: GraphSource, runtime_of: RuntimeSource, say: Callable[[str], None]) -> bool:
    """Whether there is a graph: INT8 needs ranges, TensorRT's graphs ModelOpt if the bundle does not carry them."""
    try:
        graph_of(wanted.precision, runtime_of(wanted.runtime).probe().int8_flavour, wanted.high_precision)
    except BundleDamagedError:
        raise
    except (BundleError, MissingDependencyError) as error:
        say(f"{wanted.runtime} {wanted.precision} is left out: {error.what} {error.hint or ''}".rstrip())
        return False
    return True


def budget_for(
    threshold: ThresholdRecord, pictures: GatePictures, max_map_error: float | None, max_auroc_drop: float | None
) -> Budget:
    """How far an engine may be from the FP32 graph; None takes what is usual.

    Raises:
        InputError: An AUROC drop is given, and there are no labelled pictures.
    """
    is_good = pictures.labels.is_good
    can_tell = bool(is_good.any() and not is_good.all()) or any(mask is not None for mask in pictures.labels.masks)
    if max_auroc_drop is not None and not can_tell:
        raise InputError(
            "An AUROC drop can only be judged on labelled pictures, good and defective ones, or on masks.",
            expected="--calibration DATA in MVTec's layout: train/good, test/good, test/<defect>",
            hint="Give such a folder, or leave --max-auroc-drop out.",
        )
    budget = Budget.usual(threshold.value) if max_map_error is None else Budget(max_map_error)
    return replace(budget, max_auroc_drop=MAX_AUROC_DROP if max_auroc_drop is None else max_auroc_drop)


def fp32_standard(bundle: Bundle, pictures: GatePictures, threshold: ThresholdRecord, budget: Budget) -> Standard:
    """Run the FP32 graph on pictures, for engines to be compared with."""
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        reference = outputs_of(opened.engine, pictures, threshold.false_alarm_rate)
    return Standard(pictures, reference, threshold, budget)


def graphs_of(bundle: Bundle, preset: Preset | None = None) -> GraphSource:
    """The typed graphs of a bundle, each made once; INT8 ranges are chosen as a preset says."""

    @cache
    def ranges_of(n_pictures: int) -> Ranges:
        return bundle_ranges(bundle, bundle.read(GRAPH_FILE), n_pictures)

    @cache
    def graph_of(precision: str, int8_flavour: str, high_precision: tuple[str, ...]) -> TypedGraph:
        return typed_graph(bundle, precision, int8_flavour, preset, high_precision, ranges_of)

    return graph_of


def _wanted(bundle: Bundle, runtime: str, precision: str, preset: Preset | None, runtime_of: RuntimeSource) -> Wanted:
    """INT8 with the blocks in high precision that usually are, and those of a preset."""
    if precision != "int8":
        return Wanted(runtime, precision)
    usual = usually_kept(bundle.read(GRAPH_FILE), runtime_of(runtime).probe().int8_flavour)
    return Wanted(runtime, precision, tuple(dict.fromkeys((*usual, *(preset.high_precision if preset else ())))))


def build_candidates(
    wanted: Sequence[Wanted], graph_of: GraphSource, standard: Standard, runtime_of: RuntimeSource = load_runtime
) -> tuple[Candidate, ...]:
    """Build, compare and time all that are wanted; their engines are closed again.

    Raises:
        As `build_candidate`.
    """
    with ExitStack() as stack:
        candidates, engines = [], []
        for each in wanted:
            candidate, engine = build_candidate(each, graph_of, standard, runtime_of)
            stack.callback(engine.close)
            candidates.append(candidate)
            engines.append(engine)
        return tuple(timed(candidates, engines, standard.pictures.good[0]))


def fastest(candidates: Sequence[Candidate], *, force: bool = False) -> Candidate:
    """The fastest that passed the gate; with `force` the fastest of all, if none did.

    Raises:
        GateError: There is none.
    """
    built = [(candidate, candidate.record) for candidate in candidates if candidate.record is not None]
    able = [(c, record) for c, record in built if record.gate.passed] or (built if force else [])
    if not able:
        raise GateError(
            "No engine was let through: " + "; ".join(f"{c.name}: {', '.join(c.gate.failures)}" for c in candidates),
            expected="every check of the gate passed; the bundle is unchanged",
            hint=_next_steps(candidates),
        )
    return min(able, key=lambda pair: pair[1].median_ms or float("inf"))[0]


def _next_steps(candidates: Sequence[Candidate]) -> str:
    """What to try after a refusal."""
    steps = []
    if any(candidate.precision == "int8" for candidate in candidates):
        steps = [
            "--precision auto with --max-map-error X or --max-auroc-drop X looks for blocks to leave in high precision",
            "more, and more different, range pictures make better INT8 (calibration/collect.py)",
            "edgerd train DATA -o RUN --resume --quantize trains the student for INT8",
        ]
    if any(candidate.record is not None for candidate in candidates):
        steps.append("--max-map-error X or --max-auroc-drop X allows more of these, --force installs it all the same")
    else:
        steps.append("edgerd show BUNDLE --verify tells whether the bundle is damaged; if not, export it again")
    return "; ".join(steps) + "."


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


def combinations(runtime: str, precision: str, runtime_of: RuntimeSource = load_runtime) -> list[tuple[str, str]]:
    """Every runtime and precision that "auto" stands for on this machine.

    Raises:
        MissingDependencyError: There is none.
    """
    names = list(RUNTIMES) if runtime == "auto" else [runtime]
    probes = {name: runtime_of(name).probe() for name in names}
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
