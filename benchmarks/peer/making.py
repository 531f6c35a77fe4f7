"""Make the products: each is trained once, by its own maker's commands in a process of its own, and kept in a folder.

    WORK/<data set>/anomalib-<model>/       OpenVINO models and trained.json, by anomalib_training.py
    WORK/<data set>/edgerd-<name>/bundle/   by `edgerd train`, `export` and `build-engine`

`wanted.json` beside them says from what. What was made from something else is refused, not taken for this.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_WANTED = "wanted.json"
_BENCHMARKS = Path(__file__).resolve().parents[1]

# PatchCore's coreset allocates and frees hundreds of megabytes for each patch it picks: glibc's heap fragments under
# that until memory is full, page by page mapping takes twice as long as in huge pages
_MALLOC = "glibc.malloc.mmap_threshold=1000000:glibc.malloc.hugetlb=1"


def anomalib_models(work: Path, data: Path, model: str, options: Mapping[str, Any]) -> Path:
    """The folder of a trained and exported anomalib model.

    Args:
        work: Where products are kept.
        data: The data set, MVTec's layout.
        model: "patchcore" or "reverse_distillation".
        options: Flags of `anomalib_training.py` and their values, without dashes.
    """
    folder = work / data.name / f"anomalib-{model}"
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    _make(folder, [[sys.executable, "-m", "peer.anomalib_training", model, str(data), *flags, "-o", str(folder)]])
    return folder


def edgerd_bundle(work: Path, data: Path, name: str, training: str, building: str) -> Path:
    """A bundle with an engine, trained on a data set.

    Args:
        work: Where products are kept.
        data: The data set, MVTec's layout.
        name: For its folder.
        training: Options of `edgerd train`.
        building: Options of `edgerd build-engine`.
    """
    folder = work / data.name / f"edgerd-{name}"
    run, bundle = str(folder / "run"), folder / "bundle"
    edgerd = [str(Path(sys.executable).with_name("edgerd"))]
    _make(
        folder,
        [
            [*edgerd, "train", str(data), "-o", run, *shlex.split(training)],
            [*edgerd, "export", run, "-o", str(bundle)],
            [*edgerd, "build-engine", str(bundle), *shlex.split(building)],
        ],
    )
    return bundle


def _make(folder: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run what makes a product, unless it was made before."""
    said = json.dumps([shlex.join(command[1:]) for command in commands], indent=2) + "\n"
    wanted = folder / _WANTED
    if wanted.is_file() and wanted.read_text() == said:
        return
    if folder.exists():
        raise SystemExit(f"{folder} holds something else, or a part of it.\nNext: remove it, or take another --work.")
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    print(f"Making {folder}: {log} grows.", file=sys.stderr)
    with log.open("w") as output:
        for command in commands:
            environment = {**os.environ, "GLIBC_TUNABLES": _MALLOC, "PYTHONPATH": str(_BENCHMARKS)}
            made = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder, check=False
            )
            if made.returncode:
                raise SystemExit(f"{shlex.join(command)} ended with {made.returncode}.\nNext: read {log}.")
    wanted.write_text(said)
