"""`edgerd export`: from a run to a bundle that works at once."""

from __future__ import annotations

from pathlib import Path

import click

from edgerd.building.calibrate import Calibration
from edgerd.bundle import Bundle, check_can_save
from edgerd.cli.calibrate import report_calibration
from edgerd.cli.console import progress_bar, quoted, say, warn
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
    from edgerd.export.package import bundle_from_run
    from edgerd.training.run import RunFolder

    folder = RunFolder.open(run)
    check_can_save(out)
    _say_what_is_replaced(out)
    bundle = bundle_from_run(folder, out, pictures=not no_pictures, say=say)
    holdout = folder.holdout_pictures()
    with progress_bar("calibrating", len(holdout)) as advance:
        calibration: Calibration = calibrate(bundle, false_alarm_rate, holdout, advance)
    report_calibration(calibration, names=folder.record.holdout)
    path = quoted(out)
    say(f"{out} works now: edgerd run --camera URI --bundle {path}. A faster engine: edgerd build-engine {path}")


def _say_what_is_replaced(out: Path) -> None:
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
    if there.threshold and there.threshold.n_good != there.training.n_holdout:
        lost.append(f"a threshold from {there.threshold.n_good} good pictures")
    if lost:
        warn(f"{out} is a bundle already, and is replaced: {', '.join(lost)} will have to be made again.")
