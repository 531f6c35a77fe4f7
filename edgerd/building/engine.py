"""From the graph in a bundle to an engine in it: what to build, on which pictures it is judged, with which graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from shlex import quote

from edgerd.acceptance.gate import MAX_AUROC_DROP, Budget
from edgerd.acceptance.gate_pictures import GatePictures, gate_pictures
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
from edgerd.building.choice import Built, fastest, install
from edgerd.building.sensitivity import Measured
from edgerd.building.typed_graph import TypedGraph, bundle_ranges, typed_graph
from edgerd.bundle.bundle import Bundle, check_can_save
from edgerd.bundle.manifest import GRAPH_FILE, ThresholdRecord
from edgerd.errors import (
    BundleDamagedError,
    BundleError,
    DeviceError,
    DeviceLostError,
    EdgerdError,
    InputError,
    MissingDependencyError,
)
from edgerd.precision.preset import Preset
from edgerd.precision.ranges import Ranges
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Probe
from edgerd.storage import remove_abandoned

AUTO_PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""What "auto" chooses from, where a runtime has it."""
_NOT_SEARCHED = ("tensorrt",)
"""A build takes TensorRT minutes, and a search some twenty: its INT8 goes to the gate as it is."""


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
        pictures: For the gate; None takes the bundle's own.
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
        StorageError: The bundle cannot be written; said before the work where that is known.
        InputError: An AUROC drop is given, and there are no labelled pictures; or a preset, and nothing is INT8.
    """
    threshold = _threshold_of(bundle)
    refuse_useless_preset(preset, precision)
    check_can_save(bundle.path, in_place=True)
    combined = combinations(runtime, precision, runtime_of)
    judged_by = gate_pictures(bundle) if pictures is None else pictures
    budget = budget_for(threshold, judged_by, max_map_error, max_auroc_drop)
    graph_of = graph_of or graphs_of(bundle, preset)
    wanted = _that_have_a_graph([Wanted(*each) for each in combined], graph_of, runtime_of, say)
    searched: list[Searched] = []
    able = tuple(each.runtime for each in wanted if each.precision == "int8" and each.runtime not in _NOT_SEARCHED)
    if able and precision == "auto" and (max_map_error is not None or max_auroc_drop is not None):
        searched, judged_by = search_assignments(bundle, able, graph_of, judged_by, budget, threshold, on_measured)
        wanted = _with_assignments(wanted, searched)
    for each in searched:
        on_searched(each)
    standard = fp32_standard(bundle, judged_by, threshold, budget)
    candidates = build_candidates(wanted, graph_of, standard, runtime_of, say)
    for candidate in candidates:
        on_candidate(candidate)
    # a threshold from cross-fitting would not be right for a student that was tuned
    chosen = fastest(candidates, force=force, can_be_tuned=bundle.manifest.cross_fit is None)
    built = install(bundle, chosen, candidates)
    for each in searched:
        with suppress(OSError):  # the engine is installed; a log that stays does no harm
            each.log.unlink(missing_ok=True)
            remove_abandoned(each.log)
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


def refuse_useless_preset(preset: Preset | None, precision: str) -> None:
    """A preset is for INT8.

    Raises:
        InputError: There is one, and nothing will be INT8, or not INT8 alone.
    """
    if preset is None or precision == "int8":
        return
    has = "chooses among other precisions too" if precision == "auto" else "has no ranges"
    raise InputError(
        f"A preset says how INT8 ranges are chosen; --precision {precision} {has}.",
        expected="--precision int8",
        hint="Give that, or leave --preset out.",
    )


def _that_have_a_graph(
    wanted: list[Wanted], graph_of: GraphSource, runtime_of: RuntimeSource, say: Callable[[str], None]
) -> list[Wanted]:
    """What of several can be built; what is asked for alone is tried, and its error says what is missing."""
    if len(wanted) == 1:
        return wanted
    return [each for each in wanted if _has_graph(each, graph_of, runtime_of, say)] or wanted[:1]


def _has_graph(wanted: Wanted, graph_of: GraphSource, runtime_of: RuntimeSource, say: Callable[[str], None]) -> bool:
    """Whether there is a graph: INT8 needs ranges, TensorRT's graphs ModelOpt if the bundle does not carry them."""
    try:
        graph_of(wanted.precision, runtime_of(wanted.runtime).probe().int8_flavour, wanted.high_precision)
    except BundleDamagedError:
        raise
    except (BundleError, MissingDependencyError) as error:
        say(_left_out(wanted, error))
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
        reference = outputs_of(opened.engine, pictures)
    return Standard(pictures, reference, threshold, budget)


def graphs_of(bundle: Bundle, preset: Preset | None = None) -> GraphSource:
    """The typed graphs of a bundle, each made once; INT8 ranges are chosen as a preset says."""

    @cache
    def ranges_of(n_pictures: int) -> Ranges:
        return bundle_ranges(bundle, bundle.read(GRAPH_FILE), n_pictures)

    @cache
    def graph_of(precision: str, int8_flavour: str, high_precision: tuple[str, ...] | None) -> TypedGraph:
        return typed_graph(bundle, precision, int8_flavour, preset, high_precision, ranges_of)

    return graph_of


def build_candidates(
    wanted: Sequence[Wanted],
    graph_of: GraphSource,
    standard: Standard,
    runtime_of: RuntimeSource = load_runtime,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Candidate, ...]:
    """Build, compare and time all that are wanted; their engines are closed again.

    One of several that a device refuses, or has no memory for, is left out.

    Raises:
        As `build_candidate`, where none is left.
    """
    with ExitStack() as stack:
        candidates, engines = [], []
        refused: EdgerdError | None = None
        for each in wanted:
            try:
                candidate, engine = build_candidate(each, graph_of, standard, runtime_of)
            except DeviceLostError:
                raise
            except (DeviceError, MissingDependencyError) as error:
                refused = error
                if len(wanted) > 1:
                    say(_left_out(each, error))
                continue
            stack.callback(engine.close)
            candidates.append(candidate)
            engines.append(engine)
        if refused and not candidates:
            raise refused
        return tuple(timed(candidates, engines, standard.pictures.good[0]))


def _left_out(wanted: Wanted, error: EdgerdError) -> str:
    return f"{wanted.runtime} {wanted.precision} is left out: {error.what} {error.hint or ''}".rstrip()


def _threshold_of(bundle: Bundle) -> ThresholdRecord:
    if bundle.manifest.threshold is None:
        raise BundleError(f"{bundle.path} has no threshold yet.", hint=f"edgerd calibrate {quote(str(bundle.path))}")
    return bundle.manifest.threshold


def combinations(runtime: str, precision: str, runtime_of: RuntimeSource = load_runtime) -> list[tuple[str, str]]:
    """Every runtime and precision that "auto" stands for on this machine.

    Raises:
        InputError: The runtimes that are installed do not have the precision.
        MissingDependencyError: None is installed.
    """
    names = list(RUNTIMES) if runtime == "auto" else [runtime]
    probes = {name: runtime_of(name).probe() for name in names}
    wanted = AUTO_PRECISIONS if precision == "auto" else (precision,)
    found = [(n, p) for n, probe in probes.items() for p in probe.precisions if p in wanted]
    if found:
        return found
    reasons = "; ".join(f"{n}: {_offer(probe)}" for n, probe in probes.items())
    usable = [probe for probe in probes.values() if probe.usable]
    if usable:
        raise InputError(
            f"{'No runtime runs' if runtime == 'auto' else f'{runtime} does not run'} {precision} on this machine "
            f"({reasons}).",
            expected="a precision that a runtime has here",
            hint=f"For instance --precision {usable[0].precisions[-1]}; edgerd doctor says what else there is.",
        )
    raise MissingDependencyError(
        f"This machine cannot run {'any runtime' if runtime == 'auto' else runtime} ({reasons}).",
        expected="a runtime that is installed",
        hint=next((probe.fix for probe in probes.values() if probe.fix), "edgerd doctor"),
    )


def _offer(probe: Probe) -> str:
    """What a runtime has here, and why not more."""
    return " - ".join(filter(None, (", ".join(probe.precisions), probe.reason.rstrip("."))))
