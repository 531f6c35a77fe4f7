"""`edgerd build-engine`: a faster engine, checked against the FP32 graph, installed in the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from edgerd.acceptance.gate_pictures import gate_pictures
from edgerd.building.engine import build_engine as build
from edgerd.building.engine import refuse_useless_preset
from edgerd.bundle.bundle import Bundle, check_can_save, find_bundle
from edgerd.bundle.manifest import EngineRecord
from edgerd.cli.build_preview import print_dry_run, print_target
from edgerd.cli.build_progress import PrintedBuild, runtimes_for
from edgerd.cli.console import say, warn
from edgerd.cli.doubts import warn_of_doubts
from edgerd.cli.new_ranges import bundle_with_ranges, ranges_option, say_what_became_of_older_graphs
from edgerd.cli.options import PRECISIONS, FiniteRange
from edgerd.cli.tensorrt_options import TensorRtChoice, tensorrt_options
from edgerd.errors import InputError
from edgerd.precision.preset import load_preset
from edgerd.runtimes import RUNTIMES

_CLEARLY_FASTER = 0.8
"""An engine counts as faster below this part of the other's time: the two were measured at different times."""


@click.command("build-engine")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option(
    "--runtime",
    type=click.Choice(["auto", *RUNTIMES]),
    default="auto",
    show_default=True,
    help="auto: every runtime that is installed here.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", *PRECISIONS]),
    default="auto",
    show_default=True,
    help="auto: the fastest that passes the gate; with --max-map-error or --max-auroc-drop, block by block.",
)
@click.option(
    "--calibration",
    metavar="DATA",
    type=click.Path(path_type=Path),
    help="More pictures for the gate: a folder of good ones, or MVTec's layout, whose test pictures have labels.",
)
@click.option("--max-map-error", type=FiniteRange(0), help="How much maps may differ; default: 1/4 of the threshold.")
@click.option(
    "--max-auroc-drop",
    type=FiniteRange(0, 1),
    help="How much AUROC and AUPRO on labelled pictures may drop; default: 0.003.",
)
@click.option(
    "--preset",
    metavar="NAME|FILE",
    help="How INT8 ranges are chosen: minmax, percentile, mse, entropy or a TOML file; default: minmax.",
)
@ranges_option
@click.option("--force", is_flag=True, help="Install the fastest engine even if the gate refuses it.")
@tensorrt_options
def build_engine(
    bundle: Path | None,
    runtime: str,
    precision: str,
    calibration: Path | None,
    max_map_error: float | None,
    max_auroc_drop: float | None,
    preset: str | None,
    ranges: Path | None,
    force: bool,
    tensorrt: TensorRtChoice,
) -> None:
    """Build engines for this machine and make the fastest that passes the gate the default of BUNDLE.

    Without BUNDLE, the newest one in this folder. The gate compares maps, scores and verdicts with the FP32 graph on
    good pictures and on pasted defects, and with --calibration AUROC and AUPRO on labelled ones; nothing is installed
    unless it passes.
    """
    chosen_preset = load_preset(preset) if preset else None
    if tensorrt.dry_run or tensorrt.target:
        _refuse_what_only_builds_use(
            {
                "--ranges": ranges,
                "--preset": preset,
                "--calibration": calibration,
                "--max-map-error": max_map_error,
                "--max-auroc-drop": max_auroc_drop,
                "--force": force or None,
            }
        )
    refuse_useless_preset(chosen_preset, precision)
    _refuse_useless_ranges(ranges, precision)
    if bundle is None:
        bundle = find_bundle()
        say(f"Bundle: {bundle}, the newest here.")
    opened = Bundle.open(bundle)
    tensorrt.check(runtime)
    tensorrt = tensorrt.for_bundle(opened)
    if tensorrt.target:
        print_target(opened, precision, tensorrt)
        return
    if tensorrt.dry_run:
        print_dry_run(opened, runtime, precision, tensorrt)
        return
    check_can_save(opened.path, in_place=True)
    pictures = gate_pictures(opened, calibration)
    for note in pictures.notes:
        say(note)
    for file, reason in pictures.skipped.items():
        warn(f"left out {file}: {reason}")
    if ranges:
        labelled = () if pictures.labelled is None else pictures.labelled
        opened = bundle_with_ranges(opened, ranges, chosen_preset, [*pictures.good, *labelled])
    with runtimes_for(tensorrt) as (runtime_of, display):
        built = build(
            opened,
            runtime=runtime,
            precision=precision,
            pictures=pictures,
            max_map_error=max_map_error,
            max_auroc_drop=max_auroc_drop,
            preset=chosen_preset,
            force=force,
            runtime_of=runtime_of,
            listener=PrintedBuild(display),
        )
    chosen = built.chosen
    if chosen.gate.forced:
        warn(f"{chosen.name} was refused by the gate and is installed because of --force.")
    why = "the fastest that passed" if len(built.candidates) > 1 else "as asked"
    say(f"Default engine of {bundle}: {chosen.name} ({why}), threshold {chosen.threshold.value:.4f}.")
    warn_of_doubts(built.bundle, chosen.key)
    _point_out_faster(opened, chosen)
    if ranges:
        say_what_became_of_older_graphs(opened, built.bundle)


def _point_out_faster(before: Bundle, chosen: EngineRecord) -> None:
    """Name an engine that was built earlier, is faster, and is no longer the default."""
    limit_ms = _CLEARLY_FASTER * (chosen.median_ms or 0.0)
    faster = [
        engine
        for engine in before.manifest.engines
        if engine.name != chosen.name and engine.gate.passed and 0 < (engine.median_ms or 0.0) < limit_ms
    ]
    if faster:
        best = min(faster, key=lambda engine: engine.median_ms or 0.0)
        flags = f"--runtime {best.key.runtime} --precision {best.key.precision}"
        warn(
            f"{best.name} took {best.median_ms:.1f} ms per picture when it was built, {chosen.name} takes "
            f"{chosen.median_ms:.1f} ms. It is still there: {flags}."
        )


def _refuse_what_only_builds_use(options: Mapping[str, object]) -> None:
    """Refuse options that have no effect with --dry-run and --target, which judge no engine and make the usual graphs.

    Raises:
        InputError: One was given.
    """
    typed = [name for name, value in options.items() if value is not None]
    if typed:
        applies = "applies" if len(typed) == 1 else "apply"
        is_for_graphs = {"--ranges", "--preset"}.intersection(typed)
        graphs = "; for another device's graphs, give --ranges and --preset to edgerd quantize BUNDLE"
        raise InputError(
            f"{', '.join(typed)}: only {applies} when an engine is built; --dry-run and --target build none.",
            expected="one or the other",
            hint=f"Leave one of them out{graphs if is_for_graphs else ''}.",
        )


def _refuse_useless_ranges(ranges: Path | None, precision: str) -> None:
    if ranges and precision not in ("auto", "int8"):
        raise InputError(
            f"--ranges only applies to INT8, but --precision {precision} was given.",
            expected="--precision int8 or auto",
            hint="Change it, or leave --ranges out.",
        )
