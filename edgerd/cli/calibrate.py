"""`edgerd calibrate`: find the threshold from good pictures."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from edgerd.acceptance.defect_pictures import good_scores, scored_defects
from edgerd.acceptance.new_pictures import NewPictures, pictures_from_camera, pictures_from_folder
from edgerd.bundle.bundle import Bundle, check_can_save
from edgerd.calibration.calibrate import Calibration
from edgerd.calibration.calibrate import calibrate as calibrate_bundle
from edgerd.cli.console import counted, quoted, say, warn
from edgerd.cli.doubts import warn_where_little_is_found
from edgerd.cli.options import FiniteRange, bundle_argument, rate_for, rate_option
from edgerd.cli.progress import progress
from edgerd.cli.trade_off_table import print_trade_offs
from edgerd.data.layouts import OtherFolderError
from edgerd.errors import DatasetError
from edgerd.evaluation.rough_recall import describe_recall
from edgerd.evaluation.threshold import describe
from edgerd.evaluation.trade_offs import trade_offs
from edgerd.types import Float64Array

_PICTURES_PER_RATE = 1.5
"""A camera collects half as many pictures more than the rate needs, so that the realised rate is known better."""


@click.command()
@bundle_argument
@click.argument("data", type=click.Path(path_type=Path), required=False)
@rate_option
@click.option("--from-camera", "camera", metavar="URI", help="Collect good pictures from a line that makes good parts.")
@click.option(
    "--minutes",
    type=FiniteRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="With --from-camera: collect for so long at most.",
)
@click.option("--replace", is_flag=True, help="Forget the good pictures that were added earlier.")
@click.option(
    "--defects",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Show how many of these defective pictures each threshold would find, and how many good ones it would call "
    "NG. The pictures are not stored.",
)
@click.pass_context
def calibrate(
    context: click.Context,
    bundle: Path,
    data: Path | None,
    false_alarm_rate: float,
    camera: str | None,
    minutes: float,
    replace: bool,
    defects: Path | None,
) -> None:
    """Add good pictures to BUNDLE, and find its thresholds from all that it has.

    DATA is a folder of good pictures that training never saw. They are added to those that the bundle has, and stay in
    it; without DATA, the thresholds are found from what there is. The false-alarm rate stays what it was unless another
    one is given.
    """
    if data is not None and camera is not None:
        raise click.UsageError("DATA and --from-camera cannot be used together.")
    opened = Bundle.open(bundle)
    rate_is_given = context.get_parameter_source("false_alarm_rate") is not ParameterSource.DEFAULT
    if defects is not None and data is None and camera is None and not (replace or rate_is_given):
        _show_trade_offs(opened, defects, good_scores(opened))
        _say_default_threshold(opened)
        return
    false_alarm_rate = rate_for(context, opened, false_alarm_rate)
    check_can_save(opened.path, in_place=True)
    new: NewPictures | None = None
    if data is not None:
        new = _new_pictures(opened, data, replace)
    elif camera is not None:
        wanted = round(_PICTURES_PER_RATE / false_alarm_rate)
        new = pictures_from_camera(opened, camera, minutes, wanted, say, replace=replace)
    for line in new.warnings if new else ():
        warn(line)
    n = len(opened.manifest.holdout) // opened.manifest.preprocess.n_tiles + len(new or ())
    with progress("calibrating", n) as advance:
        calibration = calibrate_bundle(opened, false_alarm_rate, new, replace=replace, on_picture=advance)
    if new:
        say(f"{counted(len(new), 'good picture')} added; they stay in {bundle}.")
    report_calibration(calibration)
    if defects is not None:
        _show_trade_offs(calibration.bundle, defects, calibration.good_scores)


def _new_pictures(bundle: Bundle, data: Path, replace: bool) -> NewPictures:
    """The new good pictures of a folder; where they lie deeper, the error has the command."""
    try:
        return pictures_from_folder(bundle, data, say, replace=replace)
    except OtherFolderError as error:  # not the folder that it suggests: training may have seen those pictures
        raise DatasetError(
            error.what,
            expected=error.expected,
            hint=f"edgerd calibrate {quoted(bundle.path)} DIR, where DIR is the folder of good parts that training "
            "never saw",
        ) from error


def _show_trade_offs(bundle: Bundle, defects: Path, good: Float64Array) -> None:
    found = scored_defects(bundle, defects, warn)
    print_trade_offs(trade_offs(good, [one.score for one in found], bundle.manifest.threshold), found)


def report_calibration(calibration: Calibration) -> None:
    """Print what was found: the threshold, and what to look at."""
    say(describe(calibration.threshold, quoted(calibration.bundle.path)))
    _say_default_threshold(calibration.bundle)
    recall, before = calibration.bundle.manifest.rough_recall, calibration.recall_elsewhere
    if recall is not None:
        say(f"It finds {describe_recall(recall)}. These are no real defects; the number is a rough sign.")
    if recall is not None and before is not None:
        say(
            f"Before it was {before.found} of {before.n}, pasted into other good pictures: now they are those that "
            "training never saw, as far as there are enough, so that the two numbers do not compare."
        )
    for engine in calibration.outdated:
        warn(
            f"{engine} keeps its old threshold, because it does not run on this machine. Calibrate on a machine "
            "where it does."
        )
    for name, score in calibration.suspicious:
        warn(f"{name} scores {score:.3f}, far above the others: if it shows a defect, remove it and start again.")
    warn_where_little_is_found(calibration.bundle)


def _say_default_threshold(bundle: Bundle) -> None:
    """Say that the threshold is FP32's, and what it is for the default engine, which judges unless told otherwise."""
    default = next((engine for engine in bundle.manifest.engines if engine.default), None)
    if default is not None:
        say(
            f"This is FP32's threshold. The default engine, {default.name}, has its own, since rounding moves scores: "
            f"{default.threshold.value:.4f}."
        )
