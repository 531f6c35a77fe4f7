"""More pictures than can be judged, and two cameras at their full pace."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

from rig.bundles import Bundles
from rig.camera import HttpCamera
from rig.check import Check
from rig.line import LineProcess, recipe_of
from rig.pictures import make_pool
from rig.process import resident_mb
from rig.records import latencies_s, percentile

_WARM_UP_S = 3.0
_DEADLINE_MS = 100
_JUDGED_AT_S = 1.0


def fast_source(folder: Path, bundles: Bundles, seconds: float, seed: int) -> list[Check]:
    """One camera, three times faster than its pictures can be judged; the newest is judged, the others are dropped."""
    pool = make_pool(bundles.usual, "ring", 90, seed)
    fps = 3 * _judged_per_s(folder / "capacity", bundles, seed)
    camera = HttpCamera(pool, fps)
    line = LineProcess(folder, recipe_of({"left": camera}, ['type = "jsonl"\npath = "events.jsonl"']))
    with closing(line), closing(camera):
        line.wait_for_verdict("left", line.start())
        time.sleep(_WARM_UP_S)
        began, first_mb = time.time(), resident_mb(line.pid)
        time.sleep(seconds)
        ended, last_mb = time.time(), resident_mb(line.pid)
        line.stop()
    found = latencies_s({"left": camera}, line.verdicts())
    ages_ms = [1e3 * age_s for at, age_s in found if began <= at <= ended]
    p50, p99 = percentile(ages_ms, 50), percentile(ages_ms, 99)
    clock_ms = percentile([1e3 * late_s for at, late_s in camera.lateness if began <= at <= ended], 99)
    (summary,) = line.summaries()
    counted, sent = summary["frames"] + summary["dropped"], len(camera.sent)
    fault = f"{fps:.0f} pictures/s, of which {len(ages_ms) / seconds:.0f} can be judged"
    growth = last_mb / first_mb - 1
    return [
        Check(
            fault,
            1,
            "sent-to-verdict p99 at most 2 x p50",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {p99 / p50:.2f} x; {len(ages_ms)} verdicts; the camera's clock "
            f"was late by {clock_ms:.1f} ms (p99)",
            p99 <= 2 * p50,
            of_the_machine=True,
        ),
        Check(
            fault,
            1,
            "drops counted: all pictures but those in flight at the end",
            f"{sent} sent, {summary['frames']} judged and {summary['dropped']} dropped",
            0 <= sent - counted <= max(10, 0.02 * sent) and summary["dropped"] > summary["frames"],
        ),
        Check(
            fault,
            1,
            "memory flat to 2 %",
            f"{first_mb:.1f} MB, after {seconds:.0f} s {last_mb:.1f} MB: {growth:+.1%}",
            growth <= 0.02,
            of_the_machine=True,
        ),
    ]


def two_cameras(folder: Path, bundles: Bundles, seconds: float, seed: int) -> list[Check]:
    """Two cameras at 30 pictures per second on two cores, with a deadline for each verdict."""
    cameras = {
        name: HttpCamera(make_pool(bundles.usual, "ring", 60, seed + i), 30) for i, name in enumerate(("left", "right"))
    }
    keys = f"deadline_ms = {_DEADLINE_MS}"
    line = LineProcess(folder, recipe_of(cameras, ['type = "jsonl"\npath = "events.jsonl"'], keys))
    with closing(line), closing(cameras["left"]), closing(cameras["right"]):
        line.wait_for_verdict("right", line.start())
        time.sleep(_WARM_UP_S)
        began = time.time()
        time.sleep(seconds)
        line.stop()
    verdicts = [each for each in line.verdicts() if each["decided_at"] >= began]
    late = [
        each
        for each in verdicts
        if each["verdict"] != "NO_DECISION" and 1e3 * (each["decided_at"] - each["captured_at"]) > _DEADLINE_MS
    ]
    undecided = sum(each["verdict"] == "NO_DECISION" for each in verdicts)
    ages_ms = [1e3 * age_s for at, age_s in latencies_s(cameras, verdicts)]
    per_s = len(verdicts) / seconds
    return [
        Check(
            "two cameras at 30 pictures/s, 256 px",
            1,
            f"every verdict within {_DEADLINE_MS} ms of the capture, or NO_DECISION",
            f"{len(late)} late of {len(verdicts)} ({per_s:.0f} per s), {undecided} NO_DECISION; sent-to-verdict p50 "
            f"{percentile(ages_ms, 50):.1f} ms, p99 {percentile(ages_ms, 99):.1f} ms",
            not late and bool(ages_ms),
        )
    ]


def _judged_per_s(folder: Path, bundles: Bundles, seed: int) -> float:
    """How many pictures a line judges in a second that gets them as fast as it takes them."""
    camera = HttpCamera(make_pool(bundles.usual, "ring", 30, seed), 2000)
    line = LineProcess(
        folder, recipe_of({"left": camera}, ['type = "jsonl"\npath = "events.jsonl"'], 'frames = "every"')
    )
    with closing(line), closing(camera):
        line.wait_for_verdict("left", line.start())
        threading.Event().wait(_WARM_UP_S)
        began = time.time()
        time.sleep(_JUDGED_AT_S * 3)
        ended = time.time()
        line.stop()
    return sum(began <= each["decided_at"] < ended for each in line.verdicts()) / (ended - began)
