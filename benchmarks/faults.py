"""Faults injected at random times into a line that runs: cameras, receivers, the process, the disk, the load.

    python benchmarks/faults.py --minutes 20

The line is `edgerd run --recipe` in a process of its own, its cameras are HTTP cameras of sample parts whose scores
tell the pictures apart, so that which alerts they must cause is known, and its receivers are a web hook and Mosquitto.
An RTSP camera of the same parts and Aravis's fake GenICam camera go away and come back too, where they are installed.
`--minutes` scales how often each fault is injected; 20 are the counts of the acceptance bars. Receivers that are away,
and a disk that is full, for minutes instead of seconds are trials that run only where they are named:
`--only receivers_for_minutes --only disk_for_minutes`. A bar that is missed is named, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import print_results
from rig.bundles import Bundles, made_bundles
from rig.cameras_away import cameras_away, genicam_away, rtsp_away
from rig.change_over import change_overs
from rig.check import Check
from rig.full_disk import full_disks
from rig.kills import kills
from rig.load import fast_source, two_cameras
from rig.receivers_away import receivers_away
from rig.sink_changes import sink_changes

FULL_MINUTES = 20.0
Trial = Callable[[Path, Bundles, float, int], list[Check]]


def _times(n: int, share: float, at_least: int = 2) -> int:
    return max(at_least, round(n * share))


TRIALS: dict[str, Trial] = {
    "cameras": lambda folder, bundles, share, seed: cameras_away(folder, bundles, _times(50, share), seed),
    "rtsp": lambda folder, bundles, share, seed: rtsp_away(folder, bundles, _times(50, share), seed),
    "genicam": lambda folder, bundles, share, seed: genicam_away(folder, bundles, _times(50, share), seed),
    "receivers": lambda folder, bundles, share, seed: receivers_away(
        folder, bundles, _times(20, share, 4), seed, away_s=max(1.0, 10 * share)
    ),
    "kills": lambda folder, bundles, share, seed: kills(folder, bundles, _times(100, share, 4), seed),
    "disk": lambda folder, bundles, share, seed: full_disks(
        folder, bundles, _times(3, share, 1), seed, full_s=max(5.0, 30 * share)
    ),
    "fast": lambda folder, bundles, share, seed: fast_source(folder, bundles, max(8.0, 60 * share), seed),
    "two": lambda folder, bundles, share, seed: two_cameras(folder, bundles, max(8.0, 60 * share), seed),
    "sinks": lambda folder, bundles, share, seed: sink_changes(folder, bundles, _times(20, share, 4), seed),
    "products": lambda folder, bundles, share, seed: change_overs(folder, bundles, _times(200, share, 10), seed),
}

LONG_TRIALS: dict[str, Trial] = {
    "receivers_for_minutes": lambda folder, bundles, share, seed: receivers_away(
        folder, bundles, _times(5, share), seed, away_s=90.0
    ),
    "disk_for_minutes": lambda folder, bundles, _, seed: full_disks(folder, bundles, 1, seed, full_s=150.0),
}


def run_trials(names: list[str], work: Path, bundles: Bundles, share: float, seed: int) -> list[Check]:
    """Inject faults of these kinds, one kind after the other.

    Args:
        names: Of `TRIALS` and `LONG_TRIALS`.
        work: Each gets a folder in it, with the line's recipe, logs, outbox and audit trail.
        bundles: Judge.
        share: Of the full counts.
        seed: Of times and pictures.
    """
    checks = []
    for name in names:
        began_s = time.monotonic()
        found = (TRIALS | LONG_TRIALS)[name](work / name, bundles, share, seed)
        checks += found
        for check in found:
            print(f"{name}, {time.monotonic() - began_s:.0f} s: {check}", file=sys.stderr)
    return checks


def main() -> None:
    """Parse, inject, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=FULL_MINUTES, help="about as long as it takes")
    parser.add_argument("--short", action="store_true", help="as --minutes 2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", choices=TRIALS | LONG_TRIALS, action="append", help="this kind of fault; may be given again"
    )
    parser.add_argument("--work", type=Path, help="where bundles are kept and logs are left; else a temporary folder")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    share = 2 / FULL_MINUTES if arguments.short else arguments.minutes / FULL_MINUTES
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        bundles = made_bundles(work.absolute())
        lines = Path(tempfile.mkdtemp(prefix="faults-", dir=work.absolute()))
        before, began_s = os.getloadavg(), time.monotonic()
        checks = run_trials(arguments.only or list(TRIALS), lines, bundles, share, arguments.seed)
        minutes = (time.monotonic() - began_s) / 60
    missed = sum(not check.is_held for check in checks)
    notes = [
        f"{minutes:.1f} minutes, seed {arguments.seed}, {share:.0%} of the full counts. Load average "
        f"{before[0]:.1f} before and {os.getloadavg()[0]:.1f} after, cameras and receivers of the test included.",
        "All bars are held." if not missed else f"**{missed} of {len(checks)} bars are missed.**",
    ]
    print_results("Faults", [check.row() for check in checks], notes, arguments.json)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
