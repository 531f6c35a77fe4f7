"""What a scrape each second costs the loop: frames per second with the monitor and without, in turns.

    python benchmarks/monitor_cost.py BUNDLE > results/monitor_cost.md

The loop runs as fast as it can over sample parts in memory. Each turn is two stretches of it, one without a monitor and
one with a monitor that another process scrapes each second, in changing order; the ratio of a turn is that of their
times per frame. Many short turns say more than few long ones where the machine has other work.

The bar is a median ratio of at most 1.01 of the CPU time of the whole process, its monitor included: what the loop
loses where there is no idle core. Wall time is shown beside it; on a machine with other work it says little.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from machine import print_results

from edgerd.cameras import open_camera
from edgerd.cameras.memory import MemoryCamera
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.update import Update
from edgerd.monitor import open_monitor
from edgerd.monitor.snapshot import CameraSnapshot, CameraState, LineSnapshot
from edgerd.types import UInt8Array

_SCRAPER = """
import select, sys, urllib.request
url = ""
while True:
    if select.select([sys.stdin], [], [], 1.0)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        url = line.strip()
        print("ok", flush=True)
    if url:
        urllib.request.urlopen(url).read()
"""
_BAR = 1.01


class Scraper:
    """Another process that reads a page each second, as Prometheus does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRAPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @contextmanager
    def scraping(self, url: str) -> Iterator[None]:
        """Read `url` at once and then each second; when this is left the last reading is over."""
        self._tell(url)
        yield
        self._tell("")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _tell(self, url: str) -> None:
        print(url, file=self._process.stdin, flush=True)
        self._process.stdout.readline()


class Times(NamedTuple):
    """Seconds per frame over a stretch of the loop."""

    wall_s: float
    cpu_s: float
    """Of all threads of the process."""
    monitor_share: float = 0.0
    """CPU time of the monitor's thread from its first to its last scrape, as a share of the wall time between."""


def sample_parts(uri: str, n: int = 20) -> list[UInt8Array]:
    """Frames of a camera, so that making them is not measured."""
    camera = open_camera(uri)
    frames = [frame.data for frame in (camera.read() for _ in range(n)) if frame]
    camera.close()
    return frames


def stretch(inspector: Inspector, parts: Sequence[UInt8Array], n_frames: int, scraper: Scraper | None) -> Times:
    """Run the loop over so many frames; with a monitor where there is somebody to scrape it."""
    newest: list[Update] = []
    scrapes: list[tuple[float, float]] = []

    def snapshot() -> LineSnapshot:  # in the monitor's thread
        scrapes.append((time.perf_counter(), time.thread_time()))
        camera = CameraSnapshot.of("memory", CameraState.RUNNING, newest[0].statistics)
        return LineSnapshot(
            (camera,), (), "0", 0.0, time.monotonic(), True, (inspector.bundle.manifest.id,), (inspector.why,)
        )

    def on_update(update: Update) -> None:
        newest[:] = [update]

    def run(n: int) -> Times:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        (summary,) = Line([Feed(inspector, MemoryCamera(parts, n))], on_update=on_update).run()
        summary.raise_for_error()
        return Times((time.perf_counter() - wall_s) / n, (time.process_time() - cpu_s) / n)

    run(1)  # there is something to tell from the first scrape on
    if scraper is None:
        return run(n_frames)
    with open_monitor(snapshot, port=0) as monitor:
        if monitor.url is None:
            raise SystemExit(monitor.loss)
        with scraper.scraping(f"{monitor.url}/metrics"):
            times = run(n_frames)
    (began_s, began_cpu_s), (ended_s, ended_cpu_s) = scrapes[0], scrapes[-1]
    return times._replace(monitor_share=(ended_cpu_s - began_cpu_s) / max(ended_s - began_s, 1e-9))


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--camera", default="sample://ring?seed=1")
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each stretch, about")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parts, scraper = sample_parts(arguments.camera), Scraper()
    alone: list[Times] = []
    watched: list[Times] = []
    with Inspector.open(arguments.bundle, threads=1) as inspector:
        inspector.warm_up()
        n_frames = max(10, int(arguments.seconds / stretch(inspector, parts, 100, None).wall_s))
        for turn in range(arguments.turns):
            for is_watched in (turn % 2 == 0, turn % 2 == 1):
                times = stretch(inspector, parts, n_frames, scraper if is_watched else None)
                (watched if is_watched else alone).append(times)
        why = inspector.why
    scraper.close()
    rows, ratio = results(alone, watched)
    notes = [
        f"{why}; {arguments.camera}; {arguments.turns} turns of {n_frames} frames each way. Ratios are medians over "
        f"the turns, with their quartiles. Bar: CPU time at most {_BAR}; {'held' if ratio <= _BAR else 'NOT held'}.",
        f"The monitor's own thread took {median(times.monitor_share for times in watched):.3%} of a core.",
    ]
    print_results("Cost of the monitor", rows, notes, arguments.json)


def results(alone: Sequence[Times], watched: Sequence[Times]) -> tuple[list[dict[str, object]], float]:
    """Rows of the table, and the ratio that is judged."""
    rows: list[dict[str, object]] = []
    ratio = 1.0
    for name, field in (("wall time", "wall_s"), ("CPU time", "cpu_s")):
        before, after = ([getattr(times, field) for times in stretches] for stretches in (alone, watched))
        low, ratio, high = quantiles([after_s / before_s for before_s, after_s in zip(before, after, strict=True)], n=4)
        rows.append(
            {
                "per frame": name,
                "without, ms": 1e3 * median(before),
                "scraped each second, ms": 1e3 * median(after),
                "ratio": f"{ratio:.4f} ({low:.4f} to {high:.4f})",
            }
        )
    return rows, ratio


if __name__ == "__main__":
    main()
