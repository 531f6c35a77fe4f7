"""Receivers that are away for a while, answer 503, or break a connection off in the middle of a message."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, closing
from pathlib import Path

from rig.broker import MOSQUITTO, Broker
from rig.bundles import Bundles
from rig.camera import HttpCamera
from rig.check import Check
from rig.line import LineProcess, Verdict, recipe_of
from rig.pictures import make_pool
from rig.records import deliveries, lost_alerts, n_ng, orphans
from rig.webhook import Received, Webhook

_DRAIN_S = 60.0
_ON_THEIR_WAY = 3


def receivers_away(folder: Path, bundles: Bundles, n: int, seed: int, away_s: float) -> list[Check]:
    """A web hook and a broker, of which one is away, or cuts connections, n times.

    Args:
        folder: For the line.
        bundles: Judge.
        n: How many times.
        seed: Of the times.
        away_s: How long one is away, on average.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    with ExitStack() as stack:
        hook = Webhook()
        stack.callback(hook.go_away)
        sinks = [f'type = "webhook"\nurl = "{hook.url}"', 'type = "jsonl"\npath = "events.jsonl"']
        broker = None
        if MOSQUITTO is not None:
            folder.mkdir(parents=True, exist_ok=True)
            broker = stack.enter_context(closing(Broker(folder)))
            sinks.append(f'type = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}')
        cameras = {
            name: stack.enter_context(closing(HttpCamera(make_pool(bundles.small, "ring", 90, seed + i), 12)))
            for i, name in enumerate(("left", "right"))
        }
        line = stack.enter_context(closing(LineProcess(folder, recipe_of(cameras, sinks, right="stream"))))
        began = line.start()
        line.wait_for_verdict("left", began)
        for i in range(n):
            time.sleep(chance.uniform(0.5, 2.0))
            _disturb(hook, broker, i, chance, away_s)
        time.sleep(2.0)
        _wait_until_drained(line)
        line.stop()
        left = max(line.waiting().values())
        time.sleep(1.0)  # for the last message on its way from the broker
        verdicts = line.verdicts()
        receivers = {
            f"web hook away ({away_s:g} s on average) or cut in mid-message": hook.received,
            "a file as receiver, meanwhile": line.events("events.jsonl"),
        }
        if broker is not None:
            receivers[f"Mosquitto away ({away_s:g} s on average) or cut in mid-message"] = broker.received
        return [_check(fault, received, n, verdicts, line, left) for fault, received in receivers.items()]


def _check(
    fault: str, received: list[Received], n: int, verdicts: list[Verdict], line: LineProcess, left: int
) -> Check:
    found = deliveries(received)
    lost = len(lost_alerts(verdicts, found.events, line.lives))
    wrong = (lost, found.out_of_order, found.contradictions, found.twice, orphans(found.events, "right"), left)
    return Check(
        fault,
        n,
        "0 alerts lost, 0 out of order, duplicates only with the same id; outbox drained",
        f"{lost} lost of {n_ng(verdicts)} NG frames, {found.out_of_order} out of order, {found.duplicates} duplicates, "
        f"{found.contradictions} of them different, {found.twice} twice under another id, {left} left in the outbox",
        not any(wrong) and n_ng(verdicts) > 0,
    )


def _disturb(hook: Webhook, broker: Broker | None, i: int, chance: random.Random, away_s: float) -> None:
    pause_s = chance.uniform(0.5, 1.5) * away_s
    if broker is not None and i % 2:
        if i % 4 == 1:
            broker.cut()
        else:
            broker.go_away()
            time.sleep(pause_s)
            broker.come_back()
    elif i % 4 == 0:
        hook.cuts.extend(chance.choices(("in the request", "before the answer", "503"), k=3))
    else:
        hook.go_away()
        time.sleep(pause_s)
        hook.come_back()


def _wait_until_drained(line: LineProcess) -> None:
    """Wait until next to nothing is left, while new events come; what is left then is told."""
    deadline = time.monotonic() + _DRAIN_S
    while max(line.waiting().values()) > _ON_THEIR_WAY and time.monotonic() < deadline:
        time.sleep(0.5)
