"""Commands, whichever way they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from control_parts import judged_at_once, line, verdict
from hypothesis import given
from hypothesis import strategies as st

from edgerd.control import Commands
from edgerd.control import parts as parts_module
from edgerd.control.commands import ConflictError, UnknownCameraError
from edgerd.control.fake import FakeCamera, FakeLine
from edgerd.control.parts import Part
from edgerd.errors import InputError
from edgerd.sinks.plc import CameraState
from edgerd.types import Verdict


def body(**keys: object) -> bytes:
    return json.dumps(keys).encode()


def answers_of(part: Part) -> list[Any]:
    answers: list[Any] = []
    part.when_judged(answers.append)
    return answers


def test_a_trigger_gets_its_own_verdict() -> None:
    watched = line()
    commands = Commands(watched)
    first, second = commands.trigger("left", b"", "http"), commands.trigger("left", body(id="part 2"), "http")
    fired = watched.cameras["left"].triggers
    assert [trigger.camera for trigger in fired] == ["left", "left"]
    assert fired[0].id != fired[1].id
    commands.publish(verdict(fired[1], Verdict.NG, 0.75), fired[1])
    assert answers_of(first) == []
    (answer,) = answers_of(second)
    assert (answer["verdict"], answer["score"], answer["id"]) == ("NG", 0.75, "part 2")
    assert answer["trigger"] == fired[1].id
    commands.publish(verdict(fired[0]), fired[0])
    assert answers_of(first)[0]["id"] is None


def test_a_verdict_that_comes_while_the_trigger_is_fired_is_not_lost() -> None:
    part = judged_at_once(line()).trigger("left", b"", "http")
    assert answers_of(part)[0]["verdict"] == "OK"


def test_verdicts_that_nobody_asked_for_here_go_nowhere() -> None:
    watched = line()
    commands = Commands(watched)
    part = commands.trigger("left", b"", "http")
    (trigger,) = watched.cameras["left"].triggers
    commands.publish(verdict(trigger), None)
    other = line()
    Commands(other).trigger("left", b"", "http")
    (foreign,) = other.cameras["left"].triggers
    commands.publish(verdict(foreign), foreign)
    assert answers_of(part) == []


def test_a_sender_that_repeats_itself_gets_the_first_answer_and_makes_no_second_part() -> None:
    watched = line()
    commands = Commands(watched)
    parts = [commands.trigger("left", body(id="42"), "http") for _ in range(3)]
    (trigger,) = watched.cameras["left"].triggers
    commands.publish(verdict(trigger), trigger)
    parts.append(commands.trigger("left", body(id="42"), "http"))
    assert len(watched.cameras["left"].triggers) == 1
    assert [answers_of(part) for part in parts] == [answers_of(parts[0])] * 4


def test_the_same_id_at_another_camera_is_another_part() -> None:
    watched = FakeLine({name: FakeCamera("http", {"bottle": 1}) for name in ("a", "b")})
    commands = Commands(watched)
    for name in watched.cameras:
        commands.trigger(name, body(id="42"), "http")
    assert [len(camera.triggers) for camera in watched.cameras.values()] == [1, 1]


def test_the_same_id_for_another_product_is_refused() -> None:
    """Otherwise a part would be taken for what it is not."""
    watched = line()
    commands = Commands(watched)
    commands.trigger("left", body(id="42", product="bottle"), "http")
    commands.trigger("left", body(id="42", product=1), "http")
    for other in (body(id="42", product="can"), body(id="42")):
        with pytest.raises(ConflictError, match="'42' was used before"):
            commands.trigger("left", other, "http")
    assert len(watched.cameras["left"].triggers) == 1


def test_only_so_many_parts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "MAX_PARTS", 5)
    watched = line()
    commands = Commands(watched)
    fired = watched.cameras["left"].triggers
    asked = [commands.trigger("left", body(id=str(n)), "http") for n in range(8)]
    for trigger in fired:
        commands.publish(verdict(trigger), trigger)
    assert [bool(answers_of(part)) for part in asked] == [False] * 3 + [True] * 5
    for n in range(3, 8):
        commands.trigger("left", body(id=str(n)), "http")
    assert len(fired) == 8
    commands.trigger("left", body(id="0"), "http")
    assert len(fired) == 9


def test_a_trigger_that_was_not_taken_is_not_remembered() -> None:
    watched = line()
    commands = Commands(watched)

    def refuse(_: object) -> None:
        raise RuntimeError("boom")

    watched.cameras["left"].on_fire = refuse
    with pytest.raises(RuntimeError):
        commands.trigger("left", body(id="42"), "http")
    watched.cameras["left"].on_fire = None
    commands.trigger("left", body(id="42"), "http")
    assert len(watched.cameras["left"].triggers) == 2


def test_many_senders_of_one_id_at_once_make_one_part() -> None:
    watched = line()
    commands = Commands(watched)
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        for n in range(50):
            commands.trigger("left", body(id=str(n)), "http")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(watched.cameras["left"].triggers) == 50


def test_a_callback_that_was_taken_back_is_not_called() -> None:
    watched = line()
    commands = Commands(watched)
    part = commands.trigger("left", b"", "http")
    answers: list[Any] = []
    part.when_judged(answers.append)
    part.forget(answers.append)
    (trigger,) = watched.cameras["left"].triggers
    commands.publish(verdict(trigger), trigger)
    assert answers == []


@pytest.mark.parametrize(("product", "number"), [("bottle", 1), (1, 1), ("can", 2), (None, None)])
def test_a_trigger_names_its_product_by_name_or_number(product: object, number: int | None) -> None:
    watched = line()
    Commands(watched).trigger("left", body(product=product), "http")
    assert watched.cameras["left"].triggers[0].product == number


def test_a_product_may_have_a_name_that_looks_like_a_number() -> None:
    watched = line()
    commands = Commands(watched)
    assert commands.change_product("right", body(product="7"), "me")["product"] == "7"
    assert commands.change_product("right", body(product=7), "me")["product"] == "bottle"


@pytest.mark.parametrize(
    ("camera", "message", "what"),
    [
        ("left", body(product="bottel"), "Did you mean 'bottle'"),
        ("left", body(product="jar"), "has no number"),
        ("left", body(product=3), "bottle (1), can (2), jar"),
        ("left", body(product=10**60), "no product"),
        ("left", body(product=True), "product cannot be used"),
        ("left", body(product=1.0), "product cannot be used"),
        ("left", body(id=""), "1 to 64 printable characters"),
        ("left", body(id="x" * 65), "1 to 64 printable characters"),
        ("left", body(id="a\nb"), "1 to 64 printable characters"),
        ("left", body(id=5), "1 to 64 printable characters"),
        ("left", body(prodcut="can"), "Did you mean 'product'"),
        ("left", b"[]", "a JSON object"),
        ("left", b"{", "a JSON object"),
        ("left", b"\xff", "a JSON object"),
        ("left", b"[" * 4000, "a JSON object"),
        ("left", body(id="x" * 4096), "too large"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_do(camera: str, message: bytes, what: str) -> None:
    watched = line()
    with pytest.raises(InputError) as caught:
        Commands(watched).trigger(camera, message, "http")
    assert what in str(caught.value)
    assert not any(camera.triggers for camera in watched.cameras.values())


def test_a_camera_that_is_not_there() -> None:
    commands = Commands(line())
    with pytest.raises(UnknownCameraError, match="Did you mean 'left'"):
        commands.trigger("lefd", b"", "http")
    with pytest.raises(UnknownCameraError, match="one of left, right, above"):
        commands.change_product("../left", body(product="can"), "me")


@pytest.mark.parametrize(("camera", "way"), [("right", "http"), ("above", "http"), ("left", "mqtt"), ("above", "mqtt")])
def test_a_camera_is_triggered_only_as_the_recipe_says(camera: str, way: str) -> None:
    watched = line()
    with pytest.raises(ConflictError, match=f'this one has trigger = "{watched.cameras[camera].triggered_by}"'):
        Commands(watched).trigger(camera, b"", way)
    assert not watched.cameras[camera].triggers


def test_a_change_over_is_done_audited_and_told() -> None:
    watched = line()
    commands = Commands(watched)
    told: list[str] = []
    commands.when_product_changes(told.append)
    assert commands.change_product("left", body(product="can"), "HTTP from 10.0.0.3") == {
        "camera": "left",
        "product": "can",
        "number": 2,
    }
    assert watched.cameras["left"].changes == ["can"]
    assert watched.commands == [("HTTP from 10.0.0.3", "Camera left inspects the product can; before, it was bottle.")]
    assert told == ["left"]
    commands.change_product("left", body(product=2), "MQTT")
    assert len(watched.commands) == 1, "nothing has changed, so that there is nothing to write down"
    assert told == ["left", "left"]
    for _ in range(2):
        commands.forget(told.append)
    commands.change_product("left", body(product=1), "MQTT")
    assert told == ["left", "left"]


@pytest.mark.parametrize("message", [b"", b"{}", body(product=None), body(product="nothing"), body(product=9)])
def test_a_change_over_to_nothing_changes_nothing(message: bytes) -> None:
    watched = line()
    with pytest.raises(InputError):
        Commands(watched).change_product("left", message, "me")
    assert (watched.cameras["left"].changes, watched.commands) == ([], [])


def test_the_cameras_as_they_are_now() -> None:
    watched = line()
    commands = Commands(watched)
    commands.set_state("left", CameraState.READY)
    commands.change_product("left", body(product="jar"), "me")
    assert commands.cameras()[0] == {
        "camera": "left",
        "state": "ready",
        "trigger": "http",
        "product": "jar",
        "products": {"bottle": 1, "can": 2, "jar": None},
    }
    assert [camera["state"] for camera in commands.cameras()] == ["ready", "starting", "starting"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=5,
)
KEYS = st.dictionaries(st.sampled_from(["product", "id", "camera", "x"]) | st.text(max_size=8), JSON, max_size=3)


@given(
    camera=st.sampled_from(["left", "right"]) | st.text(max_size=30),
    message=st.binary(max_size=60) | KEYS.map(lambda keys: json.dumps(keys).encode()),
)
def test_whatever_comes_is_taken_by_the_camera_that_it_names_or_refused(camera: str, message: bytes) -> None:
    watched = line()
    commands = Commands(watched)
    refusal = refused_with(lambda: commands.trigger(camera, message, "http"))
    if refusal is None:
        assert camera == "left"
    else:
        assert refusal.expected
        assert all(text.isprintable() for text in str(refusal).splitlines())
    assert [len(each.triggers) for each in watched.cameras.values()] == [refusal is None, 0, 0]
    refusal = refused_with(lambda: commands.change_product(camera, message, "me"))
    assert [name for name, each in watched.cameras.items() if each.changes] == ([] if refusal else [camera])


def refused_with(command: Callable[[], object]) -> InputError | None:
    try:
        command()
    except InputError as error:
        return error
    return None
