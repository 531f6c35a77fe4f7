"""Faults around a line: changes while it runs, triggers that cannot be answered, what PLCs are told meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgerd.errors import CameraError, EdgerdError, InputError
from edgerd.events import CameraEvent, uuid7
from edgerd.line.update import Update
from edgerd.recipe import LoadedRecipe
from edgerd.recipe.sinks import JsonlRecord
from edgerd.sinks.fake import FakePlcLink, FakeSink
from edgerd.sinks.plc import CameraState
from edgerd.station import outgoing as module
from edgerd.station import station as station_module
from edgerd.station.station import Station
from edgerd.triggers import Trigger

RecipeOf = Callable[[str], LoadedRecipe]
LIVE = """
[[camera]]
name = "belt"
uri = "sample://ring?live=1&fps=200&size=96&pool=20&defective=0.5"
bundle = "{bundle}"
false_alarm_rate = 0.3
policy = "part"

[[sink]]
type = "jsonl"
path = "alerts.jsonl"
"""
ASKED = """
[[camera]]
name = "belt"
uri = "sample://ring?live=1&fps=200&size=96&pool=20"
bundle = "{bundle}"
threshold = 0.4
trigger = "modbus"

[[camera]]
name = "free"
uri = "sample://ring?n=3&size=96"
bundle = "{bundle}"
threshold = 0.4

[[sink]]
type = "modbus"
address = "127.0.0.1:{port}"
"""


def station_of(loaded: LoadedRecipe, **options: Any) -> Station:
    return Station(loaded, say=lambda _: None, warn=lambda _: None).open(**options)


def trigger(camera: str, name: str = "t") -> Trigger:
    return Trigger(camera, name, None, time.monotonic(), time.time())


def test_a_changed_false_alarm_rate_leaves_the_engine_to_the_thread_that_judges(recipe_of: RecipeOf) -> None:
    stop, events, users = threading.Event(), FakeSink(), set()
    changed: list[str] = []

    def change() -> None:
        new = recipe_of(LIVE.replace("0.3", "0.1"))
        station.take_over(new)
        changed.append(new.sha256)

    def on_update(update: Update) -> None:
        if update.statistics.frames == 5:
            threading.Thread(target=change).start()
        if changed and events.events and events.events[-1]["recipe"] == changed[0]:
            stop.set()
        assert update.statistics.frames < 20_000

    with station_of(recipe_of(LIVE), event_sinks=(events,), on_update=on_update, stop=stop) as station:
        engine, before = station.feeds[0].inspector.engine, station.feeds[0].inspector.threshold
        infer = engine.infer

        def watched(tiles: Any) -> Any:
            users.add(threading.get_ident())
            return infer(tiles)

        engine.infer = watched  # type: ignore[method-assign]
        station.run()
        assert station.feeds[0].inspector.threshold > before
    assert users == {threading.get_ident()}
    assert {event["recipe"] for event in events.events} >= set(changed)  # alerts name the recipe that was taken over


class _Watching(FakePlcLink):
    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []

    def begin(self, trigger: Trigger) -> None:
        self.begun.append(trigger.id)


def test_triggers_are_shown_until_their_verdict_and_those_that_get_none_are_refused(
    recipe_of: RecipeOf, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, stop, states = _Watching(), threading.Event(), []

    def open_links(_recipe: Any, on_trigger: Callable[[Trigger], None], _stack: Any) -> list[FakePlcLink]:
        with pytest.raises(InputError, match="not open"):
            on_trigger(trigger("belt", "too soon"))
        states.append(dict(link.states))
        return [link]

    monkeypatch.setattr(station_module, "open_links", open_links)

    def on_update(update: Update) -> None:
        if update.camera == "belt":
            stop.set()

    with station_of(recipe_of(ASKED.replace("{port}", str(free_port))), on_update=on_update, stop=stop) as station:
        for camera in ("free", "nowhere"):
            with pytest.raises(InputError):
                station.trigger(trigger(camera, f"for {camera}"))
        station.trigger(trigger("belt", "one"))
        station.run()
        with pytest.raises(CameraError, match="takes no trigger"):
            station.trigger(trigger("belt", "late"))
    assert states == [{}]  # links are opened before the engines load: to PLCs the cameras are STARTING
    assert link.begun[0] == "one"
    assert [asked.id for _, asked in link.published if asked] == ["one"]
    assert set(link.states.values()) == {CameraState.STOPPED}


def jsonl(path: Path) -> JsonlRecord:
    return JsonlRecord.model_validate({"type": "jsonl", "name": path.stem, "path": str(path)})


def event(number: int) -> CameraEvent:
    return CameraEvent(uuid7(), "error", "belt", str(number), time.time(), "b" * 64)


def test_sinks_before_one_that_cannot_be_opened_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_(_kind: str, target: str, **_: Any) -> FakeSink:
        if target.endswith("bad.jsonl"):
            raise InputError("It cannot be used.")
        opened.append(FakeSink())
        return opened[-1]

    monkeypatch.setattr(module, "open_delivering_sink", open_)
    with pytest.raises(EdgerdError):
        module.opened_sinks([jsonl(tmp_path / "good.jsonl"), jsonl(tmp_path / "bad.jsonl")], ["belt"])
    assert [sink.closed for sink in opened] == [True]
