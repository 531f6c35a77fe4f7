"""A line as its recipe says: cameras, products, triggers, sinks and records together."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from json_lines import lines_of
from station_parts import LIVE, RecipeOf, station_of

from edgerd.audit import verify
from edgerd.cameras.protocol import Camera
from edgerd.errors import BundleError, EdgerdError, InputError
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.line.summary import Ended
from edgerd.line.supervised import open_supervised
from edgerd.line.update import Update
from edgerd.monitor.snapshot import CameraState
from edgerd.sinks.fake import FakeSink
from edgerd.station import station as station_module
from edgerd.station.check import check
from edgerd.types import Frame

TWO_CAMERAS = """
[[camera]]
name = "left"
uri = "sample://ring?n=12&defective=0.5&size=96"
bundle = "{bundle}"
threshold = 0.4

[[camera]]
name = "right"
uri = "sample://ring?n=8&defective=0.5&size=128&seed=4"
bundle = "{bundle}"
threshold = 0.6

[[sink]]
type = "jsonl"
path = "alerts.jsonl"
"""


def test_two_cameras_of_a_recipe(recipe_of: RecipeOf, tmp_path: Path) -> None:
    verdicts = FakeSink()
    with station_of(recipe_of(TWO_CAMERAS), verdict_sinks=(verdicts,)) as station:
        assert len({id(feed.inspector.engine) for feed in station.feeds}) == 1
        left, right = station.run()
        assert [camera.state for camera in station.snapshot().cameras] == [CameraState.ENDED] * 2
    assert (left.camera, left.frames, left.threshold) == ("left", 12, 0.4)
    assert (right.camera, right.frames, right.threshold) == ("right", 8, 0.6)
    alerts = lines_of(tmp_path / "alerts.jsonl")
    assert [alert["camera"] for alert in alerts].count("left") == left.alerts
    assert {alert["recipe"] for alert in alerts} == {station.loaded.sha256}
    assert len(alerts) == left.alerts + right.alerts
    trail = lines_of(tmp_path / "edgerd-audit.jsonl")
    assert [entry["kind"] for entry in trail] == ["begin", "start", "stop"]
    verify(tmp_path / "edgerd-audit.jsonl")


def test_an_alert_that_no_sink_takes_now_comes_after_the_next_start(recipe_of: RecipeOf, tmp_path: Path) -> None:
    target, warnings = tmp_path / "alerts.jsonl", list[str]()
    loaded = recipe_of(TWO_CAMERAS)
    with station_of(loaded, warnings=warnings) as station:
        target.unlink(missing_ok=True)
        target.mkdir()  # what is written there fails
        summaries = station.run()
    n_waiting = sum(summary.alerts for summary in summaries)
    assert f"{n_waiting} events wait for jsonl: the next run with this outbox delivers what is left." in warnings
    target.rmdir()
    with station_of(loaded, max_frames=1) as station:
        again = station.run()
    n_raised = sum(summary.alerts for summary in [*summaries, *again])
    alerts = lines_of(target)
    assert len({alert["id"] for alert in alerts}) == n_raised


def test_a_changed_threshold_holds_from_the_next_frame_and_no_frame_is_lost(
    recipe_of: RecipeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Frame] = []

    def open_counted(uri: str) -> Camera:
        camera = open_supervised(uri)
        read = camera.read

        def counted() -> Frame | None:
            frame = read()
            given.extend([frame] if frame else [])
            return frame

        camera.read = counted  # type: ignore[method-assign]
        return camera

    monkeypatch.setattr(station_module, "open_supervised", open_counted)
    stop, verdicts = threading.Event(), FakeSink()
    changed: list[tuple[str, str]] = []

    def on_update(update: Update) -> None:
        if update.statistics.frames == 20:
            threading.Thread(target=change).start()
        if changed and update.inspection.threshold == 0.9:
            stop.set()
        assert update.statistics.frames < 3000

    def change() -> None:
        new = recipe_of(LIVE.replace("threshold = 0.4", "threshold = 0.9").replace("fps=200", "fps=100"))
        changed.extend((change.key, change.takes_effect) for change in station.take_over(new))

    with station_of(recipe_of(LIVE), verdict_sinks=(verdicts,), on_update=on_update, stop=stop) as station:
        (summary,) = station.run()
        assert station.recipe.cameras[0].threshold == 0.9
        assert "fps=200" in station.recipe.cameras[0].uri  # what needs a restart waits for one
    assert changed == [("camera.belt.threshold", "at once"), ("camera.belt.uri", "after a restart")]
    thresholds = [line["threshold"] for line in verdicts.events]
    assert thresholds == sorted(thresholds)
    assert set(thresholds) == {0.4, 0.9}
    assert len(verdicts.events) + summary.dropped == len(given)
    trail = lines_of(station.recipe.audit.path)
    assert [entry["details"]["setting"] for entry in trail if entry["kind"] == "change"] == [key for key, _ in changed]


def test_sinks_are_changed_while_the_line_runs_and_no_alert_is_lost(recipe_of: RecipeOf, tmp_path: Path) -> None:
    stop, events = threading.Event(), FakeSink()

    def on_update(update: Update) -> None:
        if update.statistics.frames == 20:
            threading.Thread(target=change).start()

    def change() -> None:
        more = LIVE + '\n[[sink]]\nname = "second"\ntype = "jsonl"\npath = "more.jsonl"\n'
        station.take_over(recipe_of(more))
        time.sleep(0.3)
        stop.set()

    with station_of(recipe_of(LIVE), event_sinks=(events,), on_update=on_update, stop=stop) as station:
        station.run()
    raised = [event["id"] for event in events.events if event["kind"] == "alert"]
    assert [alert["id"] for alert in lines_of(tmp_path / "alerts.jsonl")] == raised
    more = [alert["id"] for alert in lines_of(tmp_path / "more.jsonl")]
    assert more
    assert more == raised[-len(more) :]


def test_the_first_sink_may_come_while_the_line_runs(recipe_of: RecipeOf, tmp_path: Path) -> None:
    without, stop = LIVE[: LIVE.index("[[sink]]")], threading.Event()
    changes: list[tuple[str, str]] = []

    def on_update(update: Update) -> None:
        if update.statistics.frames == 5:
            threading.Thread(target=change).start()
        if changes and (tmp_path / "alerts.jsonl").read_text():
            stop.set()
        assert update.statistics.frames < 3000

    def change() -> None:
        changes.extend((change.key, change.takes_effect) for change in station.take_over(recipe_of(LIVE)))

    with station_of(recipe_of(without), on_update=on_update, stop=stop) as station:
        station.run()
    assert changes == [("sink.jsonl", "at once")]
    assert {alert["kind"] for alert in lines_of(tmp_path / "alerts.jsonl")} == {"alert"}


def test_a_link_to_a_plc_that_is_added_waits_for_a_restart(recipe_of: RecipeOf, free_port: int) -> None:
    link = f'\n[[sink]]\ntype = "modbus"\naddress = "127.0.0.1:{free_port}"\n'
    with station_of(recipe_of(LIVE)) as station:
        (change,) = station.take_over(recipe_of(LIVE + link))
        assert (change.key, change.takes_effect) == ("sink.modbus", "after a restart")
        assert [sink.name for sink in station.recipe.sinks] == ["jsonl"]


def test_a_new_sink_that_cannot_be_used_changes_nothing(recipe_of: RecipeOf, tmp_path: Path) -> None:
    with station_of(recipe_of(LIVE)) as station:
        (tmp_path / "folder.jsonl").mkdir()
        bad = LIVE + '\n[[sink]]\nname = "second"\ntype = "jsonl"\npath = "folder.jsonl"\n'
        with pytest.raises(EdgerdError):
            station.take_over(recipe_of(bad.replace("threshold = 0.4", "threshold = 0.9")))
        assert station.recipe.cameras[0].threshold == 0.4
        assert [sink.name for sink in station.snapshot().sinks] == ["jsonl"]


def test_an_alert_that_lasts_goes_on_after_a_restart(recipe_of: RecipeOf, tmp_path: Path) -> None:
    stream = LIVE.replace('policy = "part"', 'policy = "stream"').replace("threshold = 0.4", "threshold = 0.0")
    loaded = recipe_of(stream)
    with station_of(loaded, max_frames=3) as station:
        station.run()
    with station_of(loaded, max_frames=3) as station:
        station.run()
    (raised,) = lines_of(tmp_path / "alerts.jsonl")
    assert raised["state"] == "raised"
    other = recipe_of(stream.replace('name = "belt"', 'name = "other"').replace("threshold = 0.0", "threshold = 6.0"))
    with station_of(other, max_frames=1) as station:
        station.run()
    _, closed = lines_of(tmp_path / "alerts.jsonl")
    assert (closed["id"], closed["state"], closed["camera"]) == (raised["id"], "cleared", "belt")
    assert "no longer watched" in closed["reason"]


def test_what_a_station_is_like_is_seen_from_any_thread(recipe_of: RecipeOf) -> None:
    seen: list[Any] = []
    stop = threading.Event()

    def on_update(update: Update) -> None:
        if update.statistics.frames == 10:
            thread = threading.Thread(target=lambda: (seen.append(station.snapshot()), stop.set()))
            thread.start()

    with station_of(recipe_of(LIVE), on_update=on_update, stop=stop) as station:
        station.run()
    (snapshot,) = seen
    assert snapshot.cameras[0].state is CameraState.RUNNING
    assert snapshot.cameras[0].frames >= 10
    assert snapshot.is_warm
    assert not snapshot.unhealthy(time.monotonic())
    assert snapshot.bundles == (station.feeds[0].inspector.bundle.manifest.id,)
    assert snapshot.disk_free_bytes > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ('threshold = 0.4\nbundle_id = "ffffffff"', BundleError, "the recipe asks for ffffffff"),
        ("threshold = 0.4\nregion = { x = 3, y = 4 }", BundleError, "the bundle inspects whole frames"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_frame(
    recipe_of: RecipeOf, change: str, error: type[EdgerdError], message: str
) -> None:
    loaded = recipe_of(LIVE.replace("threshold = 0.4", change))
    with pytest.raises(error, match=message):
        station_of(loaded)
    with station_of(recipe_of(LIVE), max_frames=1) as station:  # nothing is left open
        assert station.run()[0].ended is Ended.MAX_FRAMES


def test_all_secrets_that_are_missing_are_named_before_anything_is_opened(
    recipe_of: RecipeOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOOK_KEY", "BROKER_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    hook = '\n[[sink]]\ntype = "webhook"\nurl = "http://127.0.0.1:9/"\nsecret_env = "HOOK_KEY"\n'
    broker = '\n[[sink]]\ntype = "mqtt"\nhost = "127.0.0.1"\nuser = "line"\npassword_env = "BROKER_PASSWORD"\n'
    loaded = recipe_of(LIVE + hook + broker)
    for start in (station_of, lambda one: check(one.recipe, DeviceOptions(), say=print, warn=print)):
        with pytest.raises(InputError) as caught:
            start(loaded)
        assert "HOOK_KEY" in caught.value.what
        assert "BROKER_PASSWORD" in caught.value.what
    assert not any((tmp_path / name).exists() for name in ("alerts.jsonl", "edgerd-audit.jsonl", "edgerd-outbox"))


def test_a_false_alarm_rate_makes_the_threshold(recipe_of: RecipeOf) -> None:
    rate = "false_alarm_rate = {rate}"
    thresholds = []
    for value in (0.3, 0.1):
        loaded = recipe_of(LIVE.replace("threshold = 0.4", rate.format(rate=value)))
        with station_of(loaded, max_frames=1) as station:
            thresholds.append(station.feeds[0].inspector.threshold)
    assert 0 < thresholds[0] < thresholds[1]


def test_masks_hide_what_lies_under_them_and_nothing_else(recipe_of: RecipeOf) -> None:
    verdicts = {}
    for name, masks in (("none", ""), ("all but an edge", "masks = [{ rectangle = [0, 0, 96, 92] }]")):
        sink = FakeSink()
        loaded = recipe_of(LIVE.replace("threshold = 0.4", f"threshold = 0.4\n{masks}"))
        with station_of(loaded, verdict_sinks=(sink,), max_frames=10) as station:
            station.run()
        verdicts[name] = [line["score"] for line in sink.events]
    assert all(masked <= score for masked, score in zip(verdicts["all but an edge"], verdicts["none"], strict=False))


def test_pictures_of_bad_parts_are_kept_and_their_limits_change_while_the_line_runs(
    recipe_of: RecipeOf, tmp_path: Path
) -> None:
    text = LIVE.replace("fps=200", "fps=10") + '\n[archive]\nfolder = "pictures"\n'
    all_good = text.replace("threshold = 0.4", "threshold = 6.0")
    pictures = tmp_path / "pictures" / "belt"
    with station_of(recipe_of(text), max_frames=10) as station:
        (summary,) = station.run()
    assert summary.ng > 0
    assert len([*pictures.rglob("test/ng/*.png")]) == summary.ng
    with station_of(recipe_of(all_good), max_frames=5) as station:
        assert station.take_over(recipe_of(all_good + "ok_share = 1.0\n"))[0].takes_effect == "at once"
        (summary,) = station.run()
    assert len([*pictures.rglob("train/good/*.png")]) == summary.ok == 5
