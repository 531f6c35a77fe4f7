"""A line that runs for long: whether it gets slower or larger.

    python benchmarks/soak.py --minutes 20

Two HTTP cameras of sample parts, a web hook and a file as receivers, and the monitor scraped each second. Each picture
has a score of its own, so that a verdict says when the picture that it speaks of was sent. The time after the warm-up
is cut into quarters, and the last is held against the first. How late the cameras' own clocks were is told beside it:
it is what the machine does to every process. A bar that is missed is named, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from machine import print_results
from rig.bundles import made_bundles
from rig.camera import HttpCamera
from rig.camera_servers import free_port
from rig.check import Check
from rig.line import LineProcess, Verdict, http_status, recipe_of
from rig.pictures import make_pool
from rig.process import n_descriptors, n_threads, resident_mb
from rig.records import deliveries, latencies_s, lost_alerts, n_ng, percentile
from rig.webhook import Webhook

FPS = 15
Times = list[tuple[float, float]]
"""Unix time, and how many seconds something took then."""
_WARM_UP = 0.15
"""Share of the time, at most a minute."""
_DROPPED = re.compile(r"^edgerd_frames_dropped_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """A look at the process.

    Attributes:
        at: Unix seconds.
        memory_mb: Megabytes (10^6 bytes) of its own.
        threads: How many.
        descriptors: Open files and sockets.
        dropped: Frames, as /metrics counts them.
    """

    at: float
    memory_mb: float
    threads: int
    descriptors: int
    dropped: int


def soak(folder: Path, bundle: Path, seconds: float, seed: int, fps: float = FPS) -> list[Check]:
    """Let a line run.

    Args:
        folder: For the line's files.
        bundle: Judges.
        seconds: How long, from the first verdict on.
        seed: Of the pictures.
        fps: Of each camera.
    """
    hook = Webhook()
    cameras = {
        name: HttpCamera(make_pool(bundle, "ring", 60, seed + i), fps) for i, name in enumerate(("left", "right"))
    }
    port = free_port()
    sinks = [f'type = "webhook"\nurl = "{hook.url}"', 'type = "jsonl"\npath = "events.jsonl"']
    recipe = recipe_of(cameras, sinks, tables=f'[monitor]\nbind = "127.0.0.1:{port}"', right="stream")
    line = LineProcess(folder, recipe)
    with closing(line), closing(cameras["left"]), closing(cameras["right"]):
        line.wait_for_verdict("right", line.start())
        time.sleep(min(60.0, _WARM_UP * seconds))
        samples = _sampled(line, port, time.time() + seconds)
        line.stop()
    hook.go_away()
    found, verdicts = deliveries(hook.received), line.verdicts()
    return [
        _latency(latencies_s(cameras, verdicts), cameras["left"].lateness, samples),
        *_process(samples),
        _drops(line, cameras, samples),
        _alerts(line, verdicts, len(lost_alerts(verdicts, found.events, line.lives)), found.out_of_order, found.twice),
    ]


def _sampled(line: LineProcess, port: int, end: float) -> list[Sample]:
    samples = []
    while time.time() < end:
        status, text = http_status(f"http://127.0.0.1:{port}/metrics")
        if status != 200:
            raise SystemExit(f"/metrics answers {status}: {text}")
        dropped = sum(int(float(value)) for value in _DROPPED.findall(text))
        samples.append(
            Sample(time.time(), resident_mb(line.pid), n_threads(line.pid), n_descriptors(line.pid), dropped)
        )
        time.sleep(1.0)
    return samples


def _latency(ages: Times, lateness: Times, samples: list[Sample]) -> Check:
    begin, end = samples[0].at, samples[-1].at
    first, last = _first_and_last_ms(ages, begin, end)
    clock = [percentile(quarter, 99) for quarter in _first_and_last_ms(lateness, begin, end)]
    p99s = percentile(first, 99), percentile(last, 99)
    ratio = p99s[1] / p99s[0]
    return Check(
        "running",
        len(first) + len(last),
        "sent-to-verdict p99 of the last quarter at most 1.2 x that of the first",
        f"{p99s[0]:.1f} ms, then {p99s[1]:.1f} ms: {ratio:.2f} x; medians {percentile(first, 50):.1f} and "
        f"{percentile(last, 50):.1f} ms; a camera's clock was late by {clock[0]:.1f}, then {clock[1]:.1f} ms (p99)",
        ratio <= 1.2,
        of_the_machine=True,
    )


def _first_and_last_ms(times: Times, begin: float, end: float) -> tuple[list[float], list[float]]:
    """What was measured in the first and in the last quarter of a time, in milliseconds."""
    quarter_s = (end - begin) / 4
    return (
        [1e3 * seconds for at, seconds in times if begin <= at < begin + quarter_s],
        [1e3 * seconds for at, seconds in times if end - quarter_s <= at < end],
    )


def _process(samples: list[Sample]) -> list[Check]:
    n = max(1, len(samples) // 4)
    first, last = samples[:n], samples[-n:]
    before_mb, after_mb = (median(each.memory_mb for each in some) for some in (first, last))
    growth = after_mb / before_mb - 1
    counts = [
        (max(getattr(each, what) for each in first), max(getattr(each, what) for each in last))
        for what in ("threads", "descriptors")
    ]
    return [
        Check(
            "running",
            len(samples),
            "memory flat to 2 %: medians of the first and the last quarter",
            f"{before_mb:.1f} MB, then {after_mb:.1f} MB: {growth:+.2%}",
            growth <= 0.02,
            of_the_machine=True,
        ),
        Check(
            "running",
            len(samples),
            "not more threads and open files in the last quarter than in the first",
            "at most {} threads, then {}; {} files, then {}".format(*counts[0], *counts[1]),
            all(after <= before for before, after in counts),
        ),
    ]


def _drops(line: LineProcess, cameras: dict[str, HttpCamera], samples: list[Sample]) -> Check:
    summaries = line.summaries()
    frames, dropped = (sum(each[key] for each in summaries) for key in ("frames", "dropped"))
    sent = sum(len(camera.sent) for camera in cameras.values())
    return Check(
        "running",
        sent,
        "drops counted: every picture is judged or dropped, but those in flight at the end",
        f"{sent} sent, {frames} judged, {dropped} dropped; {samples[-1].dropped} in the last scrape",
        0 <= sent - frames - dropped <= 5 * len(cameras) and samples[-1].dropped <= dropped,
    )


def _alerts(line: LineProcess, verdicts: list[Verdict], lost: int, out_of_order: int, twice: int) -> Check:
    left, wrong = max(line.waiting().values()), line.verify()
    return Check(
        "running",
        n_ng(verdicts),
        "no alert lost, out of order or twice; outbox drained; audit trail verifies",
        f"{lost} lost of {n_ng(verdicts)} NG frames, {out_of_order} out of order, {twice} twice, {left} left"
        + (f"; {wrong}" if wrong else ""),
        (lost, out_of_order, twice, left, wrong) == (0, 0, 0, 0, "") and n_ng(verdicts) > 0,
    )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--short", action="store_true", help="as --minutes 1.5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="where bundles are kept and logs are left; else a temporary folder")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    minutes = 1.5 if arguments.short else arguments.minutes
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).absolute()
        bundles = made_bundles(work)
        before = os.getloadavg()[0]
        checks = soak(Path(tempfile.mkdtemp(prefix="soak-", dir=work)), bundles.usual, 60 * minutes, arguments.seed)
    missed = sum(not check.is_held for check in checks)
    notes = [
        f"{minutes:g} minutes after the warm-up, seed {arguments.seed}; two cameras at {FPS} pictures/s, 256 px, "
        f"OpenVINO FP32 on one thread. Load average {before:.1f} before and {os.getloadavg()[0]:.1f} after, cameras "
        "and receivers of the test included.",
        "All bars are held." if not missed else f"**{missed} of {len(checks)} bars are missed.**",
    ]
    print_results("Soak", [check.row() for check in checks], notes, arguments.json)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
