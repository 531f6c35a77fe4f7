"""A line that is told from outside which part is there, and which product."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import Any

import pytest
from json_lines import lines_of
from station_parts import RecipeOf, station_of

from edgerd.errors import InputError
from edgerd.line.update import Update
from edgerd.sinks.fake import FakeSink
from edgerd.triggers import Trigger

PRODUCTS = """
[[camera]]
name = "belt"
uri = "sample://ring?live=1&fps=200&size=96&pool=20"
default_product = "nut"
trigger = "modbus"
[camera.products.nut]
bundle = "{bundle}"
threshold = 0.4
index = 1
[camera.products.bolt]
bundle = "{bundle}"
threshold = 0.9
index = 2

[[sink]]
type = "modbus"
address = "127.0.0.1:{port}"
"""


def test_triggers_and_a_change_over(recipe_of: RecipeOf, free_port: int) -> None:
    stop, verdicts = threading.Event(), FakeSink()
    asked = [(None, "nut"), (2, "bolt"), (None, "nut"), (None, "bolt")]

    def fire(number: int) -> None:
        station.trigger(Trigger("belt", str(number), asked[number][0], time.monotonic(), time.time()))

    def on_update(update: Update) -> None:
        number = update.statistics.frames
        if number == 3:
            station.change_product("belt", "bolt", who="a test")
        if number < len(asked):
            fire(number)
        else:
            stop.set()

    loaded = recipe_of(PRODUCTS.replace("{port}", str(free_port)))
    with station_of(loaded, verdict_sinks=(verdicts,), on_update=on_update, stop=stop) as station:
        fire(0)
        station.run()
        with pytest.raises(InputError, match="no product"):
            station.change_product("belt", "blot", who="a test")
    assert [(line["trigger"], line["product"]) for line in verdicts.events] == [
        (str(number), product) for number, (_, product) in enumerate(asked)
    ]
    manual = [entry for entry in lines_of(loaded.recipe.audit.path) if entry["kind"] == "manual"]
    assert [(entry["who"], entry["details"]["product"]) for entry in manual] == [("a test", "bolt")]


def test_a_line_is_commanded_over_http(recipe_of: RecipeOf, free_port: int) -> None:
    stop, answers = threading.Event(), []

    def ask(path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{free_port}{path}"
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def client() -> None:
        try:
            answers.append(ask("/cameras/belt/trigger?wait_ms=9000", {}))
            ask("/cameras/belt/product", {"product": "bolt"})
            answers.append(ask("/cameras/belt/trigger?wait_ms=9000", {}))
        finally:
            stop.set()

    http = PRODUCTS.replace('trigger = "modbus"', 'trigger = "http"').split("[[sink]]")[0]
    loaded = recipe_of(http + f'\n[control]\nbind = "127.0.0.1:{free_port}"\n')
    with station_of(loaded, stop=stop) as station:
        thread = threading.Thread(target=client)
        thread.start()
        station.run()
        thread.join()
    assert [answer["product"] for answer in answers] == ["nut", "bolt"]
    assert [answer["threshold"] for answer in answers] == [0.4, 0.9]
    manual = [entry for entry in lines_of(loaded.recipe.audit.path) if entry["kind"] == "manual"]
    assert len(manual) == 1
    assert "bolt" in manual[0]["what"]
