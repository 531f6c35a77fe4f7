"""Resident memory of `edgerd run` over many sample frames.

    python benchmarks/memory.py BUNDLE --frames 20000 > results/memory.md

A run writes verdicts and events as on a line. Reads the process's own resident set size as it goes (Linux).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from machine import print_results

from edgerd.cameras import open_camera
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.record import Outlets
from edgerd.line.update import Update
from edgerd.sinks.jsonl import JsonlSink

_SETTLED = 1000


def resident_mb() -> float:
    """Resident set size of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--camera", default="sample://ring?seed=1&defective=0.1")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    marks = sorted({100, _SETTLED, *range(2000, arguments.frames + 1, max(1, arguments.frames // 10))})
    seen: dict[int, float] = {}

    def look(update: Update) -> None:
        if update.statistics.frames in marks:
            seen[update.statistics.frames] = resident_mb()

    with tempfile.TemporaryDirectory() as folder, Inspector.open(arguments.bundle, threads=1) as inspector:
        events, verdicts = JsonlSink(Path(folder) / "events.jsonl"), JsonlSink(Path(folder) / "verdicts.jsonl")
        camera = open_camera(arguments.camera)
        feed = Feed(inspector, camera, max_frames=arguments.frames)
        (summary,) = Line([feed], Outlets([events], [verdicts]), on_update=look).run()
        camera.close()
        key = inspector.engine.key
    summary.raise_for_error()
    settled = seen[_SETTLED]
    rows = [
        {"frames": n, "resident MB": round(mb, 1), "against 1,000": f"{100 * (mb / settled - 1):+.2f} %"}
        for n, mb in sorted(seen.items())
    ]
    after = [mb for n, mb in seen.items() if n >= _SETTLED]
    notes = [
        f"{key.runtime} {key.precision}, {summary.camera}, {summary.alerts} alerts, "
        f"{summary.elapsed_s:.0f} s. Largest against smallest after {_SETTLED} frames: "
        f"{100 * (max(after) / min(after) - 1):.2f} %.",
    ]
    print_results("Memory of a run", rows, notes, arguments.json)


if __name__ == "__main__":
    main()
