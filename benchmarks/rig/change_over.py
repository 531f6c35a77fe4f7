"""A camera that is told to inspect another product, again and again."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from pathlib import Path

from edgerd.bundle.bundle import Bundle
from edgerd.events import FrameVerdict, Message
from edgerd.recipe import load_recipe
from edgerd.station.station import Station
from rig.bundles import Bundles
from rig.camera import HttpCamera
from rig.check import Check
from rig.pictures import make_pool
from rig.records import percentile

_BAR_S = 0.1
_RECIPE = """
[[camera]]
name = "left"
uri = "{uri}"
runtime = "openvino"
threads = 1
default_product = "ring"
[camera.products.ring]
bundle = "{ring}"
[camera.products.weave]
bundle = "{weave}"
"""


class _Verdicts:
    """Keeps the verdicts of a line: a sink."""

    name = "verdicts"

    def __init__(self) -> None:
        self.verdicts: list[FrameVerdict] = []

    def send(self, message: Message) -> None:
        """Take one."""
        if isinstance(message, FrameVerdict):
            self.verdicts.append(message)

    def close(self) -> None:
        """Nothing."""


def change_overs(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """A line in this process, with both engines warm; its camera gives 30 pictures per second."""
    chance = random.Random(seed)  # noqa: S311  no secret
    folder.mkdir(parents=True)
    ids = {name: Bundle.open(path).manifest.id for name, path in (("ring", bundles.small), ("weave", bundles.other))}
    camera = HttpCamera(make_pool(bundles.small, "ring", 60, seed), 30)
    recipe = folder / "edgerd.toml"
    recipe.write_text(_RECIPE.format(uri=camera.uri, ring=bundles.small, weave=bundles.other))
    sink, stop = _Verdicts(), threading.Event()
    commands: list[tuple[float, str]] = [(0.0, "ring")]
    with closing(camera), Station(load_recipe(recipe), say=lambda _: None, warn=print) as station:
        station.open(verdict_sinks=(sink,), stop=stop)
        run = threading.Thread(target=station.run)
        run.start()
        while not sink.verdicts:
            time.sleep(0.01)
        for i in range(n):
            time.sleep(chance.uniform(0.1, 0.3))
            product = ("weave", "ring")[i % 2]
            commands.append((time.time(), product))
            station.change_product("left", product, "the benchmark")
        time.sleep(0.5)
        stop.set()
        run.join()
    waits_s, wrong = _judged(sink.verdicts, commands, ids)
    slowest = max(waits_s)
    return [
        Check(
            "change-over between two products",
            n,
            f"first verdict with the new one at most {1e3 * _BAR_S:g} ms after the command",
            f"median {1e3 * percentile(waits_s, 50):.0f} ms, p99 {1e3 * percentile(waits_s, 99):.0f} ms, max "
            f"{1e3 * slowest:.0f} ms, of which up to 33 ms until the next picture",
            slowest <= _BAR_S,
            of_the_machine=True,
        ),
        Check(
            "change-over between two products",
            n,
            "no verdict with the wrong bundle",
            f"{wrong} of {len(sink.verdicts)} verdicts",
            wrong == 0,
        ),
    ]


def _judged(
    verdicts: list[FrameVerdict], commands: list[tuple[float, str]], ids: dict[str, str]
) -> tuple[list[float], int]:
    """How long after each command the first verdict with the new product came, and how many had the wrong one."""
    waits_s, wrong = [], 0
    ends = [at for at, _ in commands[1:]] + [float("inf")]
    for (at, product), end in zip(commands, ends, strict=True):
        its = [each for each in verdicts if each.captured_at is not None and at < each.captured_at <= end]
        wrong += sum((each.product, each.bundle) != (product, ids[product]) for each in its)
        firsts = [each.decided_at - at for each in its if each.product == product]
        if at and firsts:
            waits_s.append(firsts[0])
        elif at and end - at > _BAR_S:
            waits_s.append(float("inf"))
    return waits_s, wrong
