"""Collect a calibration set: the most different good pictures that a camera or a folder shows.

    python calibration/collect.py BUNDLE SOURCE -o FOLDER --pictures 32 --minutes 10

SOURCE is a camera, as `edgerd run` takes it (0, rtsp://..., a video, 'pictures/*.png'), or a folder of pictures. What
differs is told by the bundle's own teacher. Frames above the bundle's threshold are not kept: they go to
FOLDER/suspects, to be looked at. FOLDER/collected.json says where each picture came from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edgerd.bundle.bundle import Bundle
from edgerd.calibration.collect import COLLECTED_FILE, SUSPECTS_FOLDER, collect
from edgerd.errors import EdgerdError
from edgerd.precision.ranges import USUAL_PICTURES


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, collect, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", metavar="BUNDLE", help="calibrated")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="new or empty")
    parser.add_argument("--pictures", metavar="K", type=int, default=USUAL_PICTURES, help="default %(default)s")
    parser.add_argument(
        "--minutes", metavar="M", type=float, default=10.0, help="for live cameras; default %(default)s"
    )
    given = parser.parse_args(arguments)
    try:
        found = collect(
            Bundle.open(given.bundle),
            given.source,
            given.output,
            given.pictures,
            given.minutes,
            lambda line: print(line),
        )
    except EdgerdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"Interrupted; {given.output} holds what was kept until now.", file=sys.stderr)
        return 130
    print(f"{len(found.pictures)} pictures in {given.output}, of {found.n_seen} frames seen.")
    if found.spacing is not None:
        print(f"The two nearest of them are {found.spacing:.4f} apart; {found.n_same} good frames were nearer.")
    for reason, n in found.left_out.items():
        print(f"{n} frames were left out: {reason}.")
    if found.n_unusual:
        print(
            f"{found.n_unusual} of those kept score higher than any good part known until now: look at them, their "
            f"scores stand in {given.output / COLLECTED_FILE}."
        )
    if found.n_suspects:
        print(
            f"{found.n_suspects} frames are above the threshold {found.threshold:.3f}: look at "
            f"{given.output / SUSPECTS_FOLDER}. If they show good parts, calibrate the bundle with such parts first."
        )
    print(f"Next: python calibration/judge.py {given.bundle} {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
