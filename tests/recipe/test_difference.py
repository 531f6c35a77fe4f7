"""Two recipes differ in exactly the keys that are named, and what is taken over is a valid recipe."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import FULL, SMALL, loaded
from strategies import recipe_data

from edgerd.recipe import Recipe
from edgerd.recipe.difference import difference

recipes = recipe_data.map(Recipe.model_validate)


def changed(text, old, new):
    assert old in text
    return difference(loaded(text).recipe, loaded(text.replace(old, new)).recipe)


def live(found):
    return tuple(change for change in found.changes if change.takes_effect == "at once")


def after_restart(found):
    return tuple(change for change in found.changes if change.takes_effect == "after a restart")


@settings(deadline=None)
@given(recipes)
def test_a_recipe_does_not_differ_from_itself(recipe):
    found = difference(recipe, recipe)
    assert found.changes == ()
    assert found.taken_over is recipe


@settings(deadline=None)
@given(recipes, recipes)
def test_changes_are_named_once_and_are_the_same_backwards(one, other):
    found, back = difference(one, other), difference(other, one)
    assert bool(found.changes) == (_content(one) != _content(other))
    keys = [change.key for change in found.changes]
    assert len(set(keys)) == len(keys)
    assert all(change.old != change.new for change in found.changes)
    assert {(c.key, json.dumps(c.old), json.dumps(c.new)) for c in found.changes} == {
        (c.key, json.dumps(c.new), json.dumps(c.old)) for c in back.changes
    }


@settings(deadline=None)
@given(recipes, recipes)
def test_what_is_taken_over_holds_the_live_changes_and_nothing_else(one, other):
    found = difference(one, other)
    to_old, to_new = difference(one, found.taken_over), difference(found.taken_over, other)
    assert {change.key for change in to_old.changes} == {change.key for change in live(found)}
    assert {change.key for change in to_new.changes} == {change.key for change in after_restart(found)}
    Recipe.model_validate(found.taken_over.model_dump(by_alias=True))


@settings(deadline=None)
@given(recipes, recipes)
def test_everything_is_taken_over_where_nothing_needs_a_restart(one, other):
    found = difference(one, other)
    if not after_restart(found):
        assert _content(found.taken_over) == _content(other)


@settings(deadline=None)
@given(recipes, st.randoms(use_true_random=False))
def test_the_order_of_cameras_and_sinks_says_nothing(recipe, source):
    def shuffled(items):
        return tuple(source.sample(items, len(items)))

    other = recipe.model_copy(update={"cameras": shuffled(recipe.cameras), "sinks": shuffled(recipe.sinks)})
    assert not difference(recipe, other).changes


def _content(recipe):
    return (
        {camera.name: camera for camera in recipe.cameras},
        {sink.name: sink for sink in recipe.sinks},
        (
            recipe.archive,
            recipe.outbox,
            recipe.monitor,
            recipe.control,
            recipe.audit,
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "values"),
    [
        ("threshold = 0.8", "threshold = 0.9", "camera.left.products.nut.threshold", (0.8, 0.9)),
        ("threshold = 0.7", "false_alarm_rate = 0.1", "camera.right.false_alarm_rate", (None, 0.1)),
        ('confirm = "2/3"', "", "camera.right.confirm", ("2/3", None)),
        ("    { rectangle = [0, 0, 100, 20] },", "", "camera.left.masks", None),
        ("quota_gb = 50", "quota_gb = 5", "archive.quota_gb", (50.0, 5.0)),
        ('host = "broker"', 'host = "other"', "sink.mqtt.host", ("broker", "other")),
        ("retention_days = 3", "retention_days = 4", "outbox.retention_days", (3.0, 4.0)),
    ],
)
def test_what_a_running_line_takes_over(old, new, key, values):
    found = changed(FULL, old, new)
    assert not after_restart(found)
    (change,) = (change for change in live(found) if change.key == key)
    assert values is None or (change.old, change.new) == values


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("/dev/video1", "/dev/video2", "camera.right.uri"),
        ('name = "right"', 'name = "other"', "camera.right"),
        ('bundle = "bundles/nut"\nbundle_id', 'bundle = "bundles/x"\nbundle_id', "camera.left.products.nut.bundle"),
        ("region = { x = 10", "region = { x = 11", "camera.left.products.nut.region.x"),
        ("threads = 2", "threads = 3", "camera.right.threads"),
        ('path = "outbox"', 'path = "o"', "outbox.path"),
        ('bind = "127.0.0.1:9108"', 'bind = "127.0.0.1:9999"', "monitor.bind"),
        ('address = "127.0.0.1:4840"', 'address = "127.0.0.1:4841"', "sink.opcua.address"),
        ('type = "opcua"', 'name = "plc"\ntype = "opcua"', "sink.plc"),
    ],
)
def test_what_needs_a_restart(old, new, key):
    found = changed(FULL, old, new)
    assert key in {change.key for change in after_restart(found)}


def test_a_sink_that_a_running_trigger_needs_stays_until_the_restart():
    mqtt = FULL[FULL.index('[[sink]]\ntype = "mqtt"') : FULL.index('[[sink]]\ntype = "modbus"')]
    triggered = FULL.replace('trigger = "modbus"', 'trigger = "mqtt"')
    without = triggered.replace(mqtt, "").replace('trigger = "mqtt"', 'trigger = "free"')
    old = loaded(triggered).recipe
    found = difference(old, loaded(without.replace("quota_gb = 50", "quota_gb = 5")).recipe)
    assert found.taken_over is old
    assert after_restart(found) == found.changes
    assert {"sink.mqtt", "camera.left.trigger", "archive.quota_gb"} <= {change.key for change in found.changes}


def test_a_link_to_a_plc_stays_as_it_is_until_the_restart_and_other_sinks_do_not_wait_for_it():
    modbus = FULL[FULL.index('[[sink]]\ntype = "modbus"') : FULL.index('[[sink]]\ntype = "opcua"')]
    without = FULL.replace(modbus, "").replace('trigger = "modbus"', 'trigger = "free"')
    old = loaded(FULL).recipe
    found = difference(old, loaded(without.replace('host = "broker"', 'host = "other"')).recipe)
    assert {change.key for change in after_restart(found)} == {"sink.modbus", "camera.left.trigger"}
    assert {change.key for change in live(found)} == {"sink.mqtt.host"}
    sinks = {sink.name: sink for sink in found.taken_over.sinks}
    assert sinks["mqtt"].host == "other"
    assert sinks["modbus"] == next(sink for sink in old.sinks if sink.name == "modbus")


def test_no_change_holds_a_secret():
    (camera,) = loaded(SMALL).recipe.cameras
    one, other = (
        loaded(SMALL).recipe.model_copy(
            update={"cameras": (camera.model_copy(update={"uri": f"rtsp://admin:{word}@10.0.0.3/live"}),)}
        )
        for word in ("x1y", "z2w")
    )
    found = difference(one, other)
    assert [change.key for change in found.changes] == ["camera.camera-0.uri"]
    text = json.dumps([change.to_json() for change in found.changes])
    assert "x1y" not in text
    assert "z2w" not in text
