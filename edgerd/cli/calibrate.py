"""`edgerd calibrate`: find the threshold from good pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edgerd.building.calibrate import Calibration, pictures_from_camera, pictures_from_folder
from edgerd.building.calibrate import calibrate as calibrate_bundle
from edgerd.bundle import Bundle, check_can_save
from edgerd.cli.console import progress_bar, say, warn
from edgerd.cli.options import bundle_argument, rate_option
from edgerd.evaluation.threshold import describe

_PICTURES_PER_RATE = 1.5
"""A camera collects half as many again as the rate needs at least: the interval of the realised rate gets narrower."""


@click.command()
@bundle_argument
@click.argument("data", type=click.Path(path_type=Path), required=False)
@rate_option
@click.option("--from-camera", "camera", metavar="URI", help="Collect good pictures from a line that makes good parts.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True)
def calibrate(bundle: Path, data: Path | None, false_alarm_rate: float, camera: str | None, minutes: float) -> None:
    """Find the thresholds of BUNDLE from good pictures that training never saw.

    Without DATA, the pictures that training held out; they travel in the bundle. DATA is a folder of other good
    pictures.
    """
    if data is not None and camera is not None:
        raise click.UsageError("DATA and --from-camera cannot be used together.")
    opened = Bundle.open(bundle)
    check_can_save(opened.path, in_place=True)
    pictures = None
    if data is not None:
        pictures = pictures_from_folder(opened, data, say)
    elif camera is not None:
        wanted = round(_PICTURES_PER_RATE / false_alarm_rate)
        pictures = pictures_from_camera(opened, camera, minutes, wanted, say)
    n = len(opened.manifest.holdout) // opened.manifest.preprocess.n_tiles if pictures is None else len(pictures)
    with progress_bar("calibrating", n) as advance:
        calibration = calibrate_bundle(opened, false_alarm_rate, pictures, advance)
    report_calibration(calibration)


def report_calibration(calibration: Calibration, names: Sequence[str] = ()) -> None:
    """Print what was found: the threshold, and what to look at."""
    say(describe(calibration.threshold))
    for engine in calibration.outdated:
        warn(
            f"{engine} keeps its old threshold, because it does not run on this machine. Calibrate on a machine "
            "where it does."
        )
    for index, score in calibration.suspicious:
        name = names[index] if names else f"good picture {index}"
        warn(f"{name} scores {score:.3f}, far above the others: if it shows a defect, remove it and start again.")
