"""A line that is killed with SIGKILL at any moment, and started again."""

from __future__ import annotations

import random
import time
from contextlib import closing
from pathlib import Path

from rig.bundles import Bundles
from rig.camera import HttpCamera
from rig.check import Check
from rig.line import LineProcess, recipe_of
from rig.pictures import make_pool
from rig.process import cpu_s
from rig.records import (
    GRACE_S,
    Deliveries,
    deliveries,
    invented_alerts,
    lost_alerts,
    missing_alerts,
    n_ng,
    orphans,
    percentile,
)
from rig.webhook import Webhook

_FAULT = "kill -9"
_START_S = 3.0
_EARLY = 0.15
"""Share of the kills that come while the line still starts."""


def kills(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """Two cameras, every picture of which is judged; the line is killed n times, then stopped as it should be."""
    chance = random.Random(seed)  # noqa: S311  no secret
    hook = Webhook()
    cameras = {
        name: HttpCamera(make_pool(bundles.small, "ring", 90, seed + i), 12) for i, name in enumerate(("left", "right"))
    }
    sinks = [f'type = "webhook"\nurl = "{hook.url}"', 'type = "jsonl"\npath = "events.jsonl"']
    line = LineProcess(folder, recipe_of(cameras, sinks, 'frames = "every"', right="stream"))
    starts_s: list[float] = []
    cpus_s: list[float] = []
    spans: list[tuple[float, float]] = []
    wrong = ""
    with closing(line), closing(cameras["left"]), closing(cameras["right"]):
        for _ in range(n):
            began = line.start()
            if chance.random() < _EARLY:
                time.sleep(chance.uniform(0.0, 1.5))
                line.kill()
                continue
            verdict = line.wait_for_verdict("left", began)
            starts_s.append(verdict["decided_at"] - began)
            cpus_s.append(cpu_s(line.pid))
            time.sleep(chance.uniform(0.0, 3.0))
            spans.append((verdict["captured_at"], line.kill().ended_at - GRACE_S))
            wrong = wrong or line.verify()
        began = line.start()
        line.wait_for_verdict("left", began)
        time.sleep(3.0)
        line.stop()
    hook.go_away()
    wrong = wrong or line.verify()
    receivers = deliveries(hook.received), deliveries(line.events("events.jsonl"))
    missing = missing_alerts(cameras["left"], "left", receivers[0].events, spans)
    slowest = max(starts_s, default=0.0)
    return [
        _none_lost(n, line, receivers, missing),
        _none_twice(n, receivers, invented_alerts(cameras, receivers[0].events)),
        Check(_FAULT, n, "outbox and audit trail verify after each", wrong or "they do", not wrong),
        Check(
            _FAULT,
            len(starts_s),
            f"restart to first verdict at most {_START_S:g} s (OpenVINO)",
            f"median {percentile(starts_s, 50):.2f} s, max {slowest:.2f} s; {percentile(cpus_s, 50):.2f} s of CPU time",
            slowest <= _START_S,
            of_the_machine=True,
        ),
    ]


def _none_lost(n: int, line: LineProcess, receivers: tuple[Deliveries, Deliveries], missing: int) -> Check:
    verdicts = line.verdicts()
    lost = [len(lost_alerts(verdicts, each.events, line.lives)) for each in receivers]
    return Check(
        _FAULT,
        n,
        "no alert is missing but of the last 100 ms before a kill",
        f"of {n_ng(verdicts)} NG verdicts {lost[0]} lost at the web hook and {lost[1]} in the file; {missing} missing "
        "of the NG pictures that camera left sent",
        (*lost, missing) == (0, 0, 0) and n_ng(verdicts) > 0,
    )


def _none_twice(n: int, receivers: tuple[Deliveries, Deliveries], invented: int) -> Check:
    twice, out_of_order, duplicates, contradictions, orphaned = (
        sum(numbers)
        for numbers in zip(
            *(
                (each.twice, each.out_of_order, each.duplicates, each.contradictions, orphans(each.events, "right"))
                for each in receivers
            ),
            strict=True,
        )
    )
    return Check(
        _FAULT,
        n,
        "none twice under another id, none out of order, none orphaned",
        f"{twice} twice, {out_of_order} out of order, {orphaned} orphaned, {invented} made up; {duplicates} "
        f"duplicates, {contradictions} of them different",
        not any((twice, out_of_order, contradictions, orphaned, invented)),
    )
