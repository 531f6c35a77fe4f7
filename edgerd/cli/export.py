"""`edgerd export`: from a run to a bundle that works at once."""

from __future__ import annotations

from pathlib import Path

import click

from edgerd.bundle.bundle import Bundle, check_can_save
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.cli.calibrate import report_calibration
from edgerd.cli.console import counted, quoted, say, warn
from edgerd.cli.options import rate_for, rate_option
from edgerd.cli.progress import ProgressDisplay
from edgerd.steps.export import bundle_at, export_run
from edgerd.steps.needs import need_torch


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The bundle to create.")
@click.option(
    "--no-pictures", is_flag=True, help="Leave the pictures out; build-engine then asks for some with --calibration."
)
@rate_option
@click.pass_context
def export(context: click.Context, run: Path, out: Path, no_pictures: bool, false_alarm_rate: float) -> None:
    """Export RUN as a bundle: the fused graph, checked against PyTorch, and a threshold.

    Over a bundle that is there, the good pictures that were added to it stay, and so does its false-alarm rate unless
    another one is given.
    """
    need_torch()
    from edgerd.training.run import RunFolder

    folder = RunFolder.open(run)
    check_can_save(out)
    there = bundle_at(out)
    if there:
        _say_what_is_replaced(there, no_pictures)
        false_alarm_rate = rate_for(context, there, false_alarm_rate)
    with ProgressDisplay() as shown:
        shown.begin("exporting the graph")

        def calibrating() -> None:
            if not shown.state.done:
                shown.begin("calibrating", len(folder.record.holdout), "pictures")
            shown.advance()

        calibration = export_run(
            folder, out, false_alarm_rate, pictures=not no_pictures, say=say, on_picture=calibrating
        )
    report_calibration(calibration)
    path = quoted(out)
    say(f"{out} works now: edgerd run --camera URI --bundle {path}. A faster engine: edgerd build-engine {path}")


def _say_what_is_replaced(bundle: Bundle, no_pictures: bool) -> None:
    """Warn of the engines and graphs of an older bundle that an export does away with."""
    there = bundle.manifest
    lost = [f"the engine {engine.name}" for engine in there.engines]
    lost += [
        f"the graph {name}"
        for name in sorted(set(there.files) - {GRAPH_FILE})
        if name.endswith(".onnx") and "/" not in name
    ]
    if lost:
        warn(f"{bundle.path} is a bundle already, and is replaced: {', '.join(lost)} will have to be made again.")
    if no_pictures and there.added:
        n = counted(len(there.added) // there.preprocess.n_tiles, "good picture")
        warn(f"--no-pictures leaves out the {n} that were added to {bundle.path}; they no longer count.")
