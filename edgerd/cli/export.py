"""`edgerd export`: from a run to a bundle that works at once."""

from __future__ import annotations

from pathlib import Path

import click

from edgerd.building.calibrate import Calibration
from edgerd.bundle import Bundle, check_can_save
from edgerd.cli.calibrate import report_calibration
from edgerd.cli.console import counted, progress_bar, quoted, say, warn
from edgerd.cli.options import rate_option
from edgerd.cli.train import need_torch
from edgerd.errors import BundleError
from edgerd.manifest import GRAPH_FILE


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The bundle to create.")
@click.option(
    "--no-pictures", is_flag=True, help="Leave the held-out pictures out; gate and calibrate then ask for DATA."
)
@rate_option
def export(run: Path, out: Path, no_pictures: bool, false_alarm_rate: float) -> None:
    """Export RUN as a bundle: the fused graph, checked against PyTorch, and a threshold."""
    need_torch()
    from edgerd.building.calibrate import calibrate
    from edgerd.building.new_pictures import NewPictures
    from edgerd.export.package import bundle_from_run
    from edgerd.training.run import RunFolder

    folder = RunFolder.open(run)
    check_can_save(out)
    _say_what_is_replaced(out, no_pictures)
    bundle = bundle_from_run(folder, out, pictures=not no_pictures, say=say)
    record, held_out = folder.record, None
    if no_pictures:
        held_out = NewPictures(folder.holdout_pictures(), record.holdout)
    cross_fit = bundle.manifest.cross_fit
    is_named = cross_fit is None or len(cross_fit.scores) == len(record.train)
    names = (*(record.train if cross_fit else ()), *record.holdout) if is_named else ()
    with progress_bar("calibrating", len(record.holdout)) as advance:
        calibration: Calibration = calibrate(
            bundle, false_alarm_rate, held_out, keep=not no_pictures, names=names, on_picture=advance
        )
    report_calibration(calibration)
    path = quoted(out)
    say(f"{out} works now: edgerd run --camera URI --bundle {path}. A faster engine: edgerd build-engine {path}")


def _say_what_is_replaced(out: Path, no_pictures: bool) -> None:
    """An export begins anew: what was built from the bundle that is there goes with it."""
    try:
        there = Bundle.open(out).manifest
    except BundleError:  # none, or one that is beyond use
        return
    lost = [f"the engine {engine.name}" for engine in there.engines]
    lost += [
        f"the graph {name}"
        for name in sorted(set(there.files) - {GRAPH_FILE})
        if name.endswith(".onnx") and "/" not in name
    ]
    if no_pictures and there.added:
        lost.append(f"{counted(len(there.added) // there.preprocess.n_tiles, 'good picture')} that were added to it")
    if lost:
        warn(f"{out} is a bundle already, and is replaced: {', '.join(lost)} will have to be made again.")
