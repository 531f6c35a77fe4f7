"""Sinks that are added to a running line and taken away again, by changes of its recipe; now and then it is killed."""

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
from rig.records import deliveries, lost_alerts, n_ng
from rig.webhook import Webhook

_STAYS = 'type = "webhook"\nurl = "{url}"'
_COMES = 'type = "jsonl"\npath = "events.jsonl"'
_AWAY = 'type = "webhook"\nname = "away"\nurl = "http://127.0.0.1:1/nobody"'
_TAKEN_OVER_S = 2.5
"""The file is looked at each second, and must be the same twice."""
_KILLED = 0.5
"""Share of the changes that end in a kill."""
_KILLED_AFTER_S = 0.5, 4.5
"""Before, while and after it is taken over; a receiver that is never there is given some seconds."""


def sink_changes(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """A web hook that stays, beside it a file and a receiver that is never there, which come and go n times.

    What comes while the file is no sink waits for it, from when it was one first.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    hook = Webhook()
    camera = HttpCamera(make_pool(bundles.small, "ring", 90, seed), 15)

    def recipe(*sinks: str) -> str:
        return recipe_of({"left": camera}, [_STAYS.format(url=hook.url), *sinks], 'frames = "every"')

    line = LineProcess(folder, recipe(_COMES))
    n_kills = 0
    with closing(line), closing(camera):
        line.wait_for_verdict("left", line.start())
        for i in range(n):
            line.recipe_file.write_text(recipe(*((_AWAY,), (_COMES, _AWAY), (), (_COMES,))[i % 4]))
            if chance.random() < _KILLED:
                time.sleep(chance.uniform(*_KILLED_AFTER_S))
                line.kill()
                n_kills += 1
                line.wait_for_verdict("left", line.start())
            time.sleep(_TAKEN_OVER_S + chance.uniform(0.0, 1.0))
        line.recipe_file.write_text(recipe(_COMES))
        time.sleep(_TAKEN_OVER_S + 1.0)
        line.stop()
    hook.go_away()
    verdicts = line.verdicts()
    receivers = deliveries(hook.received), deliveries(line.events("events.jsonl"))
    lost = [len(lost_alerts(verdicts, each.events, line.lives)) for each in receivers]
    wrong = [each.out_of_order + each.contradictions + each.twice for each in receivers]
    return [
        Check(
            f"sinks added and taken away while the line runs, {n_kills} times with kill -9 soon after",
            n,
            "0 alerts lost, 0 out of order, duplicates only with the same id",
            f"of {n_ng(verdicts)} NG frames {lost[0]} lost at the sink that stays, {lost[1]} at the one that comes and "
            f"goes; {sum(wrong)} out of order or twice, {sum(each.duplicates for each in receivers)} duplicates",
            not any(lost) and not any(wrong) and n_ng(verdicts) > 0,
        )
    ]
