"""From the graph in a bundle to an engine in it: what is built, from which graph, judged on which pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache

from edgerd.acceptance.gate import MAX_AUROC_DROP, Budget
from edgerd.acceptance.gate_pictures import GatePictures, gate_pictures
from edgerd.building.assignment import Searched, search_assignments
from edgerd.building.candidates import (
    Candidate,
    GraphSource,
    LeftOut,
    RuntimeSource,
    Standard,
    Wanted,
    build_candidate,
    n_pictures_in,
    outputs_of,
    timed,
)
from edgerd.building.choice import Built, fastest, install
from edgerd.building.listener import SILENT, BuildListener, BuildStep
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
from edgerd.inspection.self_test import first_picture
from edgerd.precision.preset import Preset
from edgerd.precision.ranges import Ranges
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Probe
from edgerd.storage import remove_abandoned

AUTO_PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""The precisions that "auto" tries, as far as a runtime has them on this machine."""
_NOT_SEARCHED = ("tensorrt",)
"""Runtimes without a search for precisions: TensorRT takes minutes for a build, and a search needs about twenty."""


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
    listener: BuildListener = SILENT,
) -> Built:
    """Build engines, compare each with the FP32 graph, and install the fastest that passes as the default.

    With "auto" and a budget, the precision of each block of INT8 is searched for first (`edgerd.building.search`).

    Args:
        bundle: A calibrated bundle.
        runtime: An entry of `RUNTIMES`, or "auto" for all that can be used here.
        precision: A precision that the runtime has here, or "auto" for all of `AUTO_PRECISIONS`.
        pictures: The pictures that the gate judges on; None for the bundle's own.
        max_map_error: How far two maps may differ at most, in units of the map; None for a quarter of the threshold.
        max_auroc_drop: How far image AUROC, pixel AUROC and AUPRO may fall on labelled pictures; None for
            `MAX_AUROC_DROP`.
        force: Install the fastest even if the gate refuses all; the record says so.
        preset: How INT8 ranges are chosen, and which blocks stay out of INT8; None for what is usual.
        graph_of: How the graphs are made; None for `graphs_of` this bundle and preset.
        runtime_of: How the runtimes are made, for those that are told how to build.
        listener: Hears what happens.

    Raises:
        GateError: No engine passed the gate; the bundle was not changed.
        MissingDependencyError: The runtime is not installed.
        BundleError: The bundle has no threshold or no pictures; for "int8" no range pictures.
        DeviceError: The device refuses to build, and there is nothing else to choose from.
        StorageError: The bundle cannot be written. Where that can be known before the work, it is raised then.
        InputError: This machine does not run the precision; an AUROC drop is given, and there are no labelled pictures;
            or a preset is given, and nothing is INT8.
    """
    threshold = bundle.need_threshold()
    refuse_useless_preset(preset, precision)
    check_can_save(bundle.path, in_place=True)
    combined = combinations(runtime, precision, runtime_of)
    judged_by = gate_pictures(bundle) if pictures is None else pictures
    budget = budget_for(threshold, judged_by, max_map_error, max_auroc_drop)
    graph_of = graph_of or graphs_of(bundle, preset)
    listener.step_begins(BuildStep("making the graphs of all precisions"))
    wanted = _that_have_a_graph([Wanted(*each) for each in combined], graph_of, runtime_of, listener)
    searched: list[Searched] = []
    able = tuple(each.runtime for each in wanted if each.precision == "int8" and each.runtime not in _NOT_SEARCHED)
    if able and precision == "auto" and (max_map_error is not None or max_auroc_drop is not None):
        searched, judged_by = search_assignments(bundle, able, graph_of, judged_by, budget, threshold, listener)
        wanted = _with_assignments(wanted, searched)
    for each in searched:
        listener.search_ended(each)
    standard = fp32_standard(bundle, judged_by, threshold, budget, listener)
    candidates = build_candidates(wanted, graph_of, standard, runtime_of, listener)
    for candidate in candidates:
        listener.candidate_built(candidate)
    # A student that is tuned for INT8 has other scores than those that a cross-fitted threshold was found from.
    chosen = fastest(candidates, force=force, can_be_tuned=bundle.manifest.cross_fit is None)
    built = install(bundle, chosen, candidates)
    for each in searched:
        with suppress(OSError):  # the engine is installed; a log that stays does no harm
            each.log.unlink(missing_ok=True)
            remove_abandoned(each.log)
    return built


def _with_assignments(wanted: Sequence[Wanted], searched: Sequence[Searched]) -> list[Wanted]:
    """What to build after a search: instead of the usual INT8 engine, the assignments that are within budget.

    Those are the one that the search chose, and all blocks in INT8. Both are built again and timed in turns with the
    other precisions, so that what looked faster in a busy moment is not taken.
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
    """Refuse a preset where not everything that is built is INT8.

    Raises:
        InputError: There is a preset, and the precision is another, or "auto".
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
    wanted: list[Wanted], graph_of: GraphSource, runtime_of: RuntimeSource, listener: BuildListener
) -> list[Wanted]:
    """Leave out what has no graph; all but the first if none has one, whose error then says what is missing."""
    if len(wanted) == 1:
        return wanted
    return [each for each in wanted if _has_graph(each, graph_of, runtime_of, listener)] or wanted[:1]


def _has_graph(wanted: Wanted, graph_of: GraphSource, runtime_of: RuntimeSource, listener: BuildListener) -> bool:
    """Whether a graph is there or can be made: INT8 needs ranges, and TensorRT's graphs are made by ModelOpt."""
    try:
        graph_of(wanted.precision, runtime_of(wanted.runtime).probe().int8_flavour, wanted.high_precision)
    except BundleDamagedError:
        raise
    except (BundleError, MissingDependencyError) as error:
        listener.left_out(LeftOut(wanted, error))
        return False
    return True


def budget_for(
    threshold: ThresholdRecord, pictures: GatePictures, max_map_error: float | None, max_auroc_drop: float | None
) -> Budget:
    """How far an engine may be from the FP32 graph.

    Args:
        threshold: The FP32 graph's.
        pictures: The pictures that the gate judges on.
        max_map_error: In units of the map; None for a quarter of the threshold.
        max_auroc_drop: 0 to 1; None for `MAX_AUROC_DROP`.

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


def fp32_standard(
    bundle: Bundle,
    pictures: GatePictures,
    threshold: ThresholdRecord,
    budget: Budget,
    listener: BuildListener = SILENT,
) -> Standard:
    """Run the FP32 graph on pictures, for engines to be compared with."""
    listener.step_begins(BuildStep("what FP32 says", n_pictures=n_pictures_in(pictures)))
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        reference = outputs_of(opened.engine, pictures, listener.picture_done)
    stored = first_picture(bundle, bundle.manifest.holdout or bundle.manifest.ranges)
    return Standard(pictures, reference, threshold, budget, stored)


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
    listener: BuildListener = SILENT,
) -> tuple[Candidate, ...]:
    """Build, compare and time all that are wanted; their engines are closed again.

    Where several are wanted, one that a device refuses, or has no memory for, is left out.

    Raises:
        BundleError: A graph cannot be made, or not read.
        MissingDependencyError: None is left, because the last runtime is not installed.
        DeviceError: None is left, because the device refuses the last one; or a GPU was lost.
    """
    with ExitStack() as stack:
        candidates, engines = [], []
        refused: EdgerdError | None = None
        for number, each in enumerate(wanted, 1):
            place = number, len(wanted)
            try:
                candidate, engine = build_candidate(
                    each, graph_of, standard, runtime_of, listener=listener, place=place
                )
            except DeviceLostError:
                raise
            except (DeviceError, MissingDependencyError) as error:
                refused = error
                if len(wanted) > 1:
                    listener.left_out(LeftOut(each, error))
                continue
            stack.callback(engine.close)
            candidates.append(candidate)
            engines.append(engine)
        if refused and not candidates:
            raise refused
        listener.step_begins(BuildStep("timing the engines in turns"))
        return tuple(timed(candidates, engines, standard.pictures.good[0]))


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
    """The precisions that a runtime has here, and what is missing for more."""
    return " - ".join(filter(None, (", ".join(probe.precisions), probe.reason.rstrip("."))))
