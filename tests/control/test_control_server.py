"""The control over HTTP, each test with one of its own on a free port."""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from control_parts import ask, judged_at_once, until, verdict
from hypothesis import given
from hypothesis import strategies as st

from edgerd.control import Commands, open_control
from edgerd.control.fake import FakeLine
from edgerd.control.server import ControlServer
from edgerd.errors import EdgerdError, MissingDependencyError
from edgerd.triggers import Trigger
from edgerd.types import Verdict


def test_a_trigger_is_taken_and_its_verdict_can_be_asked_for(
    control: ControlServer, commands: Commands, watched: FakeLine
) -> None:
    status, receipt = ask(control, "POST", "/cameras/left/trigger", '{"id": "part 1", "product": "can"}')
    (trigger,) = watched.cameras["left"].triggers
    assert (status, receipt) == (202, {"camera": "left", "trigger": trigger.id, "id": "part 1"})
    assert trigger.product == 2
    commands.publish(verdict(trigger, Verdict.NG, 0.75), trigger)
    status, answer = ask(control, "POST", "/cameras/left/trigger", '{"id": "part 1", "product": "can"}')
    assert (status, answer["verdict"], answer["trigger"]) == (200, "NG", trigger.id)
    assert watched.cameras["left"].triggers == [trigger]


def test_a_request_waits_for_its_verdict(control: ControlServer, commands: Commands, watched: FakeLine) -> None:
    """The line answers later, from a thread of its own, first the second part and then the first."""
    fired: list[Trigger] = []
    both = threading.Event()

    def fire(trigger: Trigger) -> None:
        fired.append(trigger)
        if len(fired) == 2:
            both.set()

    def judge() -> None:
        assert both.wait(20)
        for trigger in reversed(fired):
            commands.publish(verdict(trigger, Verdict.NO_DECISION, None), trigger)

    watched.cameras["left"].on_fire = fire
    answers: dict[str, tuple[int, Any]] = {}

    def part(name: str) -> None:
        answers[name] = ask(control, "POST", "/cameras/left/trigger?wait_ms=20000", json.dumps({"id": name}))

    threads = [threading.Thread(target=part, args=(name,)) for name in ("a", "b")]
    threads.append(threading.Thread(target=judge))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: (status, answer["id"], answer["verdict"]) for name, (status, answer) in answers.items()} == {
        "a": (200, "a", "NO_DECISION"),
        "b": (200, "b", "NO_DECISION"),
    }
    assert answers["a"][1]["reason"] == "no frame within 1000 ms of the trigger"


def test_a_verdict_that_is_there_already_is_the_answer(watched: FakeLine) -> None:
    with open_control(judged_at_once(watched), port=0) as control:
        assert ask(control, "POST", "/cameras/left/trigger?wait_ms=20000")[1]["verdict"] == "OK"
        assert ask(control, "POST", "/cameras/left/trigger")[0] == 200


def test_a_verdict_that_does_not_come_in_time_makes_a_receipt(
    control: ControlServer, commands: Commands, watched: FakeLine
) -> None:
    status, receipt = ask(control, "POST", "/cameras/left/trigger?wait_ms=50")
    (trigger,) = watched.cameras["left"].triggers
    assert (status, receipt["trigger"]) == (202, trigger.id)
    commands.publish(verdict(trigger), trigger)  # nobody waits any more


def test_who_waits_at_the_end_gets_a_receipt_and_a_verdict_after_it_harms_nobody(
    commands: Commands, watched: FakeLine
) -> None:
    fired = threading.Event()
    watched.cameras["left"].on_fire = lambda trigger: fired.set()
    control = open_control(commands, port=0)
    got: list[tuple[int, Any]] = []
    waiting = threading.Thread(target=lambda: got.append(ask(control, "POST", "/cameras/left/trigger?wait_ms=60000")))
    waiting.start()
    assert fired.wait(20)
    until(lambda: control._waiting._wakers)
    control.close()
    control.close()
    waiting.join()
    (trigger,) = watched.cameras["left"].triggers
    assert got == [(202, {"camera": "left", "trigger": trigger.id, "id": None})]
    commands.publish(verdict(trigger), trigger)
    with pytest.raises(ConnectionRefusedError):
        ask(control, "GET", "/cameras")


def test_a_change_over(control: ControlServer, watched: FakeLine) -> None:
    status, answer = ask(control, "POST", "/cameras/left/product", '{"product": 2}')
    assert (status, answer) == (200, {"camera": "left", "product": "can", "number": 2})
    assert watched.cameras["left"].changes == ["can"]
    assert watched.commands == [("HTTP from 127.0.0.1", "Camera left inspects the product can; before, it was bottle.")]


def test_a_change_over_waits_for_no_part(control: ControlServer, watched: FakeLine) -> None:
    """It is answered while a request waits for a verdict that does not come."""
    fired = threading.Event()
    watched.cameras["left"].on_fire = lambda trigger: fired.set()
    address = urlsplit(control.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as client:
        client.sendall(b"POST /cameras/left/trigger?wait_ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert fired.wait(20)
        assert ask(control, "POST", "/cameras/left/product", '{"product": "can"}')[0] == 200
        assert watched.cameras["left"].current_product == "can"


def test_what_cameras_there_are(control: ControlServer) -> None:
    status, cameras = ask(control, "GET", "/cameras")
    assert (status, [camera["camera"] for camera in cameras]) == (200, ["left", "right", "above"])


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/cameras/lefd/trigger", "", 404, "There is no camera 'lefd'."),
        ("/cameras/right/trigger", "", 409, "Camera right is not triggered over HTTP."),
        ("/cameras/left/trigger", '{"product": "bottel"}', 400, "Camera left has no product 'bottel'."),
        ("/cameras/left/trigger", "{", 400, "The message cannot be read"),
        ("/cameras/left/product", "", 400, "The key product is missing."),
        ("/cameras/left/product", "x" * 4097, 413, "The message is too large"),
        ("/cameras/left/product", "x" * 1_000_000, 413, "The message is too large"),
        ("/cameras/left/trigger?wait_ms=-1", "", 400, "wait_ms='-1'"),
        ("/cameras/left/trigger?wait_ms=99999", "", 400, "wait_ms='99999'"),
        ("/cameras/left/trigger?wait_ms=%D9%A1", "", 400, "wait_ms="),
        ("/cameras/left/trigger?wait=5", "", 400, "There is no parameter 'wait' here."),
        ("/cameras/left/product?wait_ms=5", '{"product": "can"}', 400, "There is no parameter 'wait_ms' here."),
        ("/cameras/left", "", 404, "Not Found."),
        ("/cameras/left/trigger/", "", 404, "Not Found."),
        ("/cameras/a/../left/trigger", "", 404, "Not Found."),
        ("/cameras/a%2F..%2Fleft/trigger", "", 404, "Not Found."),
        ("/cameras/..%5Cleft/trigger", "", 404, "There is no camera"),
        ("/cameras//trigger", "", 404, "Not Found."),
        ("/cameras", "", 405, "Method Not Allowed."),
    ],
)
def test_refusals_say_what_is_wrong(
    control: ControlServer, watched: FakeLine, path: str, body: str, status: int, error: str
) -> None:
    found, answer = ask(control, "POST", path, body)
    assert found == status
    assert error in answer["error"]
    assert not any(camera.triggers or camera.changes for camera in watched.cameras.values())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
@pytest.mark.parametrize("path", ["/cameras", "/cameras/left/trigger", "/anything"])
def test_only_get_and_post_are_answered(control: ControlServer, method: str, path: str) -> None:
    assert ask(control, method, path)[0] == 405


def test_a_trigger_is_not_a_thing_to_look_at(control: ControlServer, watched: FakeLine) -> None:
    """What looks at addresses in advance, as browsers and chat programs do, must not make a part."""
    assert ask(control, "GET", "/cameras/left/trigger")[0] == 405
    assert not watched.cameras["left"].triggers


def test_a_port_that_is_taken_is_an_error(commands: Commands) -> None:
    """A line whose triggers cannot come is of no use; it must not look as if it worked."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EdgerdError, match=f"port {port} failed: Address already in use"):
            open_control(commands, port=port)


def test_a_line_that_fails_is_an_error_of_that_request_alone(control: ControlServer, watched: FakeLine) -> None:
    def fail(_: Trigger) -> None:
        raise RuntimeError("boom: /secret/path")

    watched.cameras["left"].on_fire = fail
    status, answer = ask(control, "POST", "/cameras/left/trigger")
    assert (status, answer) == (500, {"error": "This failed inside edgerd; its log says more."})
    watched.cameras["left"].on_fire = None
    assert ask(control, "POST", "/cameras/left/trigger")[0] == 202


def test_a_client_that_goes_away_in_the_middle_harms_nobody(
    control: ControlServer, watched: FakeLine, caplog: pytest.LogCaptureFixture
) -> None:
    address = urlsplit(control.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as client:
        client.sendall(b"POST /cameras/left/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
    assert ask(control, "GET", "/cameras")[0] == 200
    assert not watched.cameras["left"].triggers
    control.close()
    assert not caplog.records


@pytest.mark.parametrize("library", ["starlette.applications", "uvicorn"])
def test_what_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, commands: Commands, library: str
) -> None:
    for module in ("edgerd.control.server", "edgerd.control.gate", "edgerd.web"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=library.partition(".")[0]) as error:
        open_control(commands, port=0)
    assert error.value.hint == 'pip install "edgerd[control]"'


def test_whatever_comes_is_answered_with_a_clear_error(control: ControlServer, watched: FakeLine) -> None:
    """Over a real socket: any name, any message."""

    @given(
        name=st.text(max_size=20) | st.sampled_from([".", "..", "left/", "left\0", "LEFT", "left "]),
        what=st.sampled_from(["trigger", "product"]),
        body=st.binary(max_size=50)
        | st.integers().map(lambda number: b'{"product": %d}' % number)
        | st.text(max_size=20).map(lambda text: json.dumps({"product": text}).encode()),
    )
    def check(name: str, what: str, body: bytes) -> None:
        path = f"/cameras/{quote(name.encode(errors='surrogatepass'), safe='')}/{what}"
        status, answer = ask(control, "POST", path, body)
        if name == "left" and status in (200, 202):
            return
        assert 400 <= status < 500
        assert answer["error"].isprintable()

    check()
    assert not any(watched.cameras[name].triggers or watched.cameras[name].changes for name in ("right", "above"))
