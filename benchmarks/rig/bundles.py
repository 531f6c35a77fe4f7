"""Small bundles of sample parts, made once with `edgerd train` and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgerd.data.samples import write_dataset

EDGERD = (sys.executable, "-c", "from edgerd.cli.main import main; main()")


@dataclass(frozen=True)
class Bundles:
    """Folders of bundles.

    Attributes:
        small: Of rings, 64 px: a frame takes a millisecond or two, so that the faults are what is tried.
        other: The same of weaves, for change-overs.
        usual: Of rings, 256 px, as a line has them.
    """

    small: Path
    other: Path
    usual: Path


def made_bundles(work: Path) -> Bundles:
    """The bundles in a folder; those that are not there are trained first, a minute or so each."""
    return Bundles(
        small=_made(work, "small", "ring", 64, 60),
        other=_made(work, "other", "weave", 64, 60),
        usual=_made(work, "usual", "ring", 256, 40),
    )


def _made(work: Path, name: str, kind: str, size: int, steps: int) -> Path:
    bundle = work / f"bundle_{name}"
    if bundle.exists():
        return bundle
    data, run = work / f"parts_{kind}", work / f"run_{name}"
    if not data.exists():
        write_dataset(data, kind, n_train=40, n_test_good=8, n_per_defect=4, size=128)
    print(f"{bundle} is made.", file=sys.stderr)
    command = [*EDGERD, "train", data, "-o", run, "--image-size", size, "--steps", steps, "--cross-fit", 2]
    for arguments in (command, [*EDGERD, "export", run, "-o", bundle]):
        ended = subprocess.run(
            list(map(str, arguments)), capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        if ended.returncode:
            raise SystemExit(ended.stderr)
    return bundle
