"""`edgerd export`: from a run to a bundle that works at once."""

from __future__ import annotations

from pathlib import Path

import click

from edgerd.building.calibrate import Calibration
from edgerd.bundle import check_can_save
from edgerd.cli.calibrate import report_calibration
from edgerd.cli.console import progress_bar, quoted, say
from edgerd.cli.options import rate_option
from edgerd.cli.train import need_torch


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
    bundle = bundle_from_run(folder, out, pictures=not no_pictures, say=say)
    holdout = folder.holdout_pictures()
    with progress_bar("calibrating", len(holdout)) as advance:
        calibration: Calibration = calibrate(bundle, false_alarm_rate, holdout, advance)
    report_calibration(calibration, names=folder.record.holdout)
    path = quoted(out)
    say(f"{out} works now: edgerd run --camera URI --bundle {path}. A faster engine: edgerd build-engine {path}")
