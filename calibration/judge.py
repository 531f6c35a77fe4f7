"""Judge a calibration set: is it enough to find INT8 ranges from?

    python calibration/judge.py BUNDLE [FOLDER] [--against OTHERS] [--plot judged.png]

Without FOLDER the range pictures that travel in the bundle are judged. They are held against other good pictures: those
in OTHERS, or the ones held out in the bundle. Exit code 0: enough; 5: more pictures are needed, or some are suspects;
2: the input cannot be used; 3: the bundle cannot (not calibrated, or without pictures of its own where they are
needed); 1: the plot cannot be written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgerd.bundle.bundle import Bundle
from edgerd.calibration.range_judgement import MAX_HALVES_RATIO, Enough, Judgement, judge
from edgerd.calibration.range_pictures import range_pictures_from_folder, range_pictures_of, threshold_of
from edgerd.calibration.range_plot import judgement_plot
from edgerd.data.pictures import load_bundle_pictures, write_png
from edgerd.errors import BundleError, EdgerdError, GateError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, judge, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", metavar="BUNDLE", help="calibrated")
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", help="the set; default: the bundle's own")
    parser.add_argument("--against", metavar="OTHERS", type=Path, help="other good pictures; default: held-out ones")
    parser.add_argument("--plot", metavar="FILE", type=Path, default=Path("judged.png"), help="default %(default)s")
    given = parser.parse_args(arguments)
    try:
        judged = _judged(given)
        write_png(given.plot, judgement_plot(judged))
    except EdgerdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    _print(judged)
    print(f"Plot: {given.plot}")
    print(f"Verdict: {judged.verdict.value}")
    return 0 if judged.verdict is Enough.ENOUGH else GateError.exit_code


def _judged(given: argparse.Namespace) -> Judgement:
    bundle = Bundle.open(given.bundle)
    manifest, threshold = bundle.manifest, threshold_of(bundle)
    if given.folder:
        held_out = load_bundle_pictures(bundle, manifest.holdout, manifest.preprocess)
        found = range_pictures_from_folder(bundle, given.folder, None, held_out)
    else:
        found = range_pictures_of(bundle, manifest.ranges)
    if given.against:
        others = range_pictures_from_folder(bundle, given.against, None)
    elif manifest.holdout or not manifest.cross_fit:
        others = range_pictures_of(bundle, manifest.holdout)
    else:
        raise BundleError(
            f"{given.bundle} holds no good picture that training never saw.",
            expected="other good pictures to hold the set against",
            hint="Give some: --against OTHERS",
        )
    for note in found.notes(threshold):
        print(note)
    return judge(bundle, found, others)


def _print(judged: Judgement) -> None:
    print(f"{judged.n_pictures} pictures, held against {judged.n_others} other good ones:")
    print(
        f"  saturation  {judged.outside[judged.worst]:.1e} of the values of the worst activation lie outside the set's "
        f"range (allowed {judged.allowed[judged.worst]:.0e}); the median is {np.median(judged.outside):.1e}"
    )
    print(
        f"  stability   ranges from two halves differ by a factor of {judged.halves.max():.3f} at worst "
        f"(allowed {MAX_HALVES_RATIO}); the median is {np.median(judged.halves):.3f}"
    )
    print(f"  coverage    {len(judged.far)} of {judged.n_others} others are like nothing in the set")
    for line in judged.lacks():
        print(line)


if __name__ == "__main__":
    sys.exit(main())
