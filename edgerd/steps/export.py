"""`edgerd.export`: from a run to a calibrated bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from edgerd.acceptance.new_pictures import NewPictures
from edgerd.bundle.bundle import Bundle, check_can_save, draft_beside
from edgerd.calibration.calibrate import Calibration, calibrate
from edgerd.errors import BundleError
from edgerd.evaluation.rough_recall import describe_recall
from edgerd.evaluation.threshold import describe
from edgerd.steps.needs import need_torch

if TYPE_CHECKING:
    from edgerd.training.run import RunFolder

FALSE_ALARM_RATE = 0.01
"""Share of good parts that may be called NG, unless another one is given."""


def export(
    run: RunFolder | str | Path,
    out: str | Path,
    *,
    pictures: bool = True,
    false_alarm_rate: float | None = None,
    say: Callable[[str], None] = print,
) -> Bundle:
    """Export a run as a bundle that works at once, as `edgerd export RUN -o OUT` does.

    Args:
        run: What `edgerd.train` returned, or its folder.
        out: The bundle to create; one that is there is replaced, and its added good pictures are kept.
        pictures: Whether the held-out and the range pictures go into the bundle; `build_engine` needs them.
        false_alarm_rate: Share of good parts that may be called NG, 0 to 1; None for that of the bundle that is there,
            else 0.01.
        say: Told what happens, a line at a time.

    Returns:
        The bundle, calibrated.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        InputError: There is no run, or there are too few good pictures for a threshold.
        GateError: The graph does not give what PyTorch gives.
        BundleError: Something else is at `out`.
        StorageError: Disk full; what was at `out` is unchanged.
    """
    need_torch()
    from edgerd.training.run import RunFolder

    folder, out = run if isinstance(run, RunFolder) else RunFolder.open(Path(run)), Path(out)
    check_can_save(out)
    there = bundle_at(out)
    if false_alarm_rate is None:
        before = there.manifest.threshold if there else None
        false_alarm_rate = before.false_alarm_rate if before else FALSE_ALARM_RATE
    calibration = export_run(folder, out, false_alarm_rate, pictures=pictures, say=say)
    say(describe(calibration.threshold, quote(str(out))))
    recall = calibration.bundle.manifest.rough_recall
    if recall is not None:
        say(f"It finds {describe_recall(recall)}. These are no real defects; the number is a rough sign.")
    for name, score in calibration.suspicious:
        say(f"warning: {name} scores {score:.3f}, far above the others: if it shows a defect, remove it.")
    return calibration.bundle


def export_run(
    run: RunFolder,
    out: Path,
    false_alarm_rate: float,
    *,
    pictures: bool,
    say: Callable[[str], None],
    on_picture: Callable[[], None] = lambda: None,
) -> Calibration:
    """Export a run and calibrate the bundle; what is at `out` stays until the new one has its threshold.

    Args:
        run: A run with a checkpoint.
        out: Where the bundle goes.
        false_alarm_rate: Share of good parts that may be called NG.
        pictures: Whether the bundle takes the pictures along.
        say: Told what is done, a line at a time.
        on_picture: Told after each good picture that is scored.

    Raises:
        InputError: There are too few good pictures for a threshold.
        WeightsError: The run has no checkpoint, or one that is not finite.
        GateError: The graph does not give what PyTorch gives.
        StorageError: Disk full.
    """
    from edgerd.exporting.package import bundle_from_run

    record = run.record
    held_out = None if pictures else NewPictures(run.holdout_pictures(), record.holdout)
    with draft_beside(out) as draft:
        bundle = bundle_from_run(run, draft, before=out, pictures=pictures, say=say)
        cross_fit = bundle.manifest.cross_fit
        is_named = cross_fit is None or len(cross_fit.scores) == len(record.train)
        names = (*(record.train if cross_fit else ()), *record.holdout) if is_named else ()
        calibration = calibrate(bundle, false_alarm_rate, held_out, keep=pictures, names=names, on_picture=on_picture)
        return replace(calibration, bundle=calibration.bundle.saved_at(out))


def bundle_at(path: Path) -> Bundle | None:
    """The bundle at a path; None where there is none, or one that cannot be used any more."""
    try:
        return Bundle.open(path)
    except BundleError:
        return None
