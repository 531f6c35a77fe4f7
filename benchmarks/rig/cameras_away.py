"""Cameras that are switched off, cut off within a picture or hang, and come back."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from pathlib import Path

from rig.bundles import Bundles
from rig.camera import HttpCamera, Outage
from rig.check import Check
from rig.line import LineProcess, recipe_of
from rig.pictures import make_pool
from rig.records import deliveries, invented_alerts, lost_alerts, n_ng
from rig.webhook import Webhook

_FAULT = "camera gone and back"
_BACK_S = 1.0
_SILENCE_S = 5.0
"""A camera that hangs is given up after that (`edgerd.cameras.protocol.LIVE_TIMEOUT_S`)."""
_KINDS: tuple[Outage, ...] = ("off", "cut", "off", "cut", "silent")


def cameras_away(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """Two cameras, each gone and back n / 2 times at random times of its own."""
    hook = Webhook()
    names = ("left", "right")
    cameras = {name: HttpCamera(make_pool(bundles.small, "ring", 90, seed + i), 15) for i, name in enumerate(names)}
    line = LineProcess(folder, recipe_of(cameras, [f'type = "webhook"\nurl = "{hook.url}"'], right="stream"))
    outages: list[tuple[str, float, float]] = []
    with closing(line), closing(cameras["left"]), closing(cameras["right"]):
        began = line.start()
        for name in names:
            line.wait_for_verdict(name, began)
        threads = [
            threading.Thread(target=_away, args=(name, cameras[name], (n + i) // 2, seed + i, outages))
            for i, name in enumerate(names)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        line.stop()
    hook.go_away()
    verdicts = line.verdicts()
    found = deliveries(hook.received)
    backs = [
        min((v["decided_at"] for v in verdicts if v["camera"] == name and (v["captured_at"] or 0) > back), default=1e12)
        - back
        for name, _, back in outages
    ]
    told = [event["state"] for event in found.events if event["kind"] == "camera"]
    invented = invented_alerts(cameras, found.events)
    lost = len(lost_alerts(verdicts, found.events, line.lives))
    return [
        Check(
            _FAULT,
            n,
            f"frames again within {_BACK_S:g} s of its return",
            _spread(backs),
            max(backs) <= _BACK_S,
            of_the_machine=True,
        ),
        Check(
            _FAULT,
            n,
            "each told once as lost and once as back; no alert made of it, none lost",
            f"{told.count('lost')} lost, {told.count('back')} back, {told.count('error')} other reasons; "
            f"{invented} alerts made up, {lost} lost of {n_ng(verdicts)} NG frames",
            (told.count("lost"), told.count("back"), invented, lost) == (n, n, 0, 0),
        ),
    ]


def _away(name: str, camera: HttpCamera, n: int, seed: int, outages: list[tuple[str, float, float]]) -> None:
    chance = random.Random(seed)  # noqa: S311  no secret
    for i in range(n):
        time.sleep(chance.uniform(1.5, 3.5))
        kind = _KINDS[i % len(_KINDS)]
        gone = time.time()
        camera.lose(kind)
        time.sleep(chance.uniform(0.2, 2.5) + (_SILENCE_S + 0.5) * (kind == "silent"))
        outages.append((name, gone, camera.bring_back()))
    time.sleep(2.0)


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"median {ordered[len(ordered) // 2]:.2f} s, max {ordered[-1]:.2f} s"
