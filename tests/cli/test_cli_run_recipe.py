"""`edgerd run --recipe`: what a user sees of a line that a recipe describes."""

from __future__ import annotations

import contextlib
import functools
import threading
import time

import pytest
from json_lines import lines_of

from edgerd.cli import run_recipe
from edgerd.recipe.watch import RecipeWatcher, WatchingThread

CAMERA = """
[[camera]]
name = "belt"
uri = "{uri}"
bundle = "{bundle}"
threshold = 0.4
policy = "part"
"""
SINK = '\n[[sink]]\ntype = "jsonl"\npath = "alerts.jsonl"\n'


@pytest.fixture
def recipe(bundle, tmp_path, monkeypatch):
    """A recipe with a sink, in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "edgerd.toml"
    file.write_text(CAMERA.format(uri="sample://ring?n=6&size=96&defective=0.5", bundle=bundle.path) + SINK)
    return file


def test_a_line_runs_to_its_end_and_leaves_its_records(edgerd, recipe):
    result = edgerd("run", "--recipe", recipe)
    assert result.exit_code == 0, result.err
    assert "6 frames" in result.out
    assert "[[sink]]" not in result.err
    alerts = lines_of(recipe.parent / "alerts.jsonl")
    assert f"{len(alerts)} alert" in result.out
    assert edgerd("audit", "edgerd-audit.jsonl").exit_code == 0
    assert "jsonl        0" in edgerd("outbox", "edgerd-outbox", "list").out


def test_without_a_sink_it_is_said_that_nobody_is_told(edgerd, recipe):
    recipe.write_text(recipe.read_text().replace(SINK, ""))
    assert "no [[sink]]" in edgerd("run", "--recipe", recipe).err
    assert "no [[sink]]" not in edgerd("run", "--recipe", recipe, "--events", "events.jsonl").err


NOT_ASKED_FOR = (
    *("torch", "onnx", "scipy", "openvino", "av"),
    *("starlette", "uvicorn", "prometheus_client", "httpx", "paho", "pymodbus", "asyncua"),
)


def test_a_line_loads_only_what_its_recipe_asks_for(edgerd_process, recipe):
    """A line is started again after it was killed, and parts go by until it judges: each library takes its time."""
    process = edgerd_process("run", "--recipe", recipe, blocked=NOT_ASKED_FOR)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "6 frames" in out


def test_every_change_of_the_file_is_answered(edgerd, recipe, monkeypatch):
    good = recipe.read_text().replace("n=6&", "live=1&fps=50&pool=4&")
    recipe.write_text(good)
    seen = threading.Semaphore(0)

    class Watcher(RecipeWatcher):
        def poll(self):
            found = super().poll()
            if found is not None:
                seen.release()
            return found

    stops = []

    @contextlib.contextmanager
    def stopped_by_the_test(stop):  # a signal would end the process of the tests where the run ended before it
        stops.append(stop)
        yield

    monkeypatch.setattr(run_recipe, "stop_on_interrupt", stopped_by_the_test)
    monkeypatch.setattr(run_recipe, "RecipeWatcher", Watcher)
    monkeypatch.setattr(run_recipe, "WatchingThread", functools.partial(WatchingThread, interval_s=0.02))

    def change():
        verdicts = recipe.parent / "verdicts.jsonl"
        while not verdicts.exists() or not verdicts.stat().st_size:
            time.sleep(0.01)
        for text in (good + "oops = = 1", good, good.replace("0.4", "0.6")):
            # In one step: on a busy machine an empty file could be found twice, and be answered too.
            written = recipe.with_suffix(".new")
            written.write_text(text)
            written.replace(recipe)
            seen.acquire(timeout=20)
        stops[0].set()

    changing = threading.Thread(target=change)
    changing.start()
    result = edgerd("run", "--recipe", recipe, "--verdicts", "verdicts.jsonl")
    changing.join()
    assert result.exit_code == 0, result.err
    answers = ("edgerd.toml:12:8: this is not TOML", "nothing changes", "camera.belt.threshold changes at once")
    assert [answer for answer in answers if answer not in result.err] == []
    assert sorted(answers, key=result.err.index) == list(answers)
