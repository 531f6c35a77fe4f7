"""The control over HTTP, each test with one of its own on a free port."""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from control_parts import judged_at_once, line, until, verdict
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from edgerd.control import Commands, gate, open_control
from edgerd.control.fake import FakeLine
from edgerd.control.server import ControlServer
from edgerd.errors import EdgerdError, InputError, MissingDependencyError
from edgerd.triggers import Trigger
from edgerd.types import Verdict

TOKEN = "correct horse battery staple"


@pytest.fixture
def watched() -> FakeLine:
    return line()


@pytest.fixture
def commands(watched: FakeLine) -> Commands:
    return Commands(watched)


@pytest.fixture
def control(commands: Commands) -> Iterator[ControlServer]:
    with open_control(commands, port=0) as control:
        yield control


@pytest.fixture
def guarded(commands: Commands) -> Iterator[ControlServer]:
    with open_control(commands, port=0, token=SecretStr(TOKEN)) as control:
        yield control


def ask(
    control: ControlServer, method: str, path: str, body: bytes | str | None = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    address = urlsplit(control.url)
    assert address.hostname
    with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.getheader("content-type") == "application/json"
        return response.status, json.loads(response.read())


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


@pytest.mark.parametrize("host", ["attacker.example.com", "localhost.attacker.example.com", "", "attacker@127.0.0.1"])
def test_names_of_others_are_not_answered(control: ControlServer, host: str) -> None:
    status, answer = ask(control, "GET", "/cameras", host=host)
    assert (status, answer["expected"]) == (421, "its address, or localhost")


def test_pages_in_a_browser_cannot_command(control: ControlServer, guarded: ControlServer, watched: FakeLine) -> None:
    """They can send such a request to a server on their own machine without asking it first, but not without Origin."""
    for server in (control, guarded):
        for origin in ("https://attacker.example.com", "null", server.url):
            status, _ = ask(server, "POST", "/cameras/left/trigger", origin=origin, authorization=f"Bearer {TOKEN}")
            assert status == 403
    assert not watched.cameras["left"].triggers


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_who_has_the_token_is_answered_under_any_name(guarded: ControlServer, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {TOKEN}", "host": "line3.example.com"}
    assert ask(guarded, "GET", "/cameras", **headers)[0] == 200


@pytest.mark.parametrize(
    "told",
    [None, "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer \xe9"],
)
@pytest.mark.parametrize("path", ["/cameras/left/trigger", "/cameras/nothing/trigger", "/nothing"])
def test_without_the_token_nothing_is_told(
    guarded: ControlServer, watched: FakeLine, monkeypatch: pytest.MonkeyPatch, told: str | None, path: str
) -> None:
    monkeypatch.setattr(gate, "REFUSAL_S", 0.0)
    headers = {} if told is None else {"authorization": told}
    assert ask(guarded, "POST", path, "{", **headers) == (401, {"error": "This needs a token."})
    assert not watched.cameras["left"].triggers


@given(st.binary(max_size=60).filter(lambda told: told != TOKEN.encode()))
def test_no_other_token_is_taken(told: bytes) -> None:
    from starlette.datastructures import Headers

    checked = gate.Gate(lambda *_: None, "127.0.0.1", SecretStr(TOKEN))  # type: ignore[arg-type,return-value]
    assert not checked._has_token(Headers(raw=[(b"authorization", b"Bearer " + told)]))


def test_tokens_are_compared_in_constant_time(guarded: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare_digest(told: bytes, token: bytes) -> bool:
        compared.append((told, token))
        return False

    monkeypatch.setattr(gate.hmac, "compare_digest", compare_digest)
    monkeypatch.setattr(gate, "REFUSAL_S", 0.0)
    assert ask(guarded, "GET", "/cameras", authorization=f"Bearer {TOKEN}")[0] == 401
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


def test_a_wrong_token_waits_while_others_are_answered(guarded: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "REFUSAL_S", 60.0)
    address = urlsplit(guarded.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as guesser:
        guesser.sendall(b"GET /cameras HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n")
        assert ask(guarded, "GET", "/cameras", authorization=f"Bearer {TOKEN}")[0] == 200
        assert not select.select([guesser], [], [], 0.2)[0]


def test_beyond_this_machine_there_must_be_a_token(commands: Commands) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "line3.example.com"):
        with pytest.raises(InputError, match="everybody could trigger"):
            open_control(commands, host=host, port=0)
    with pytest.raises(InputError, match="is empty"):
        open_control(commands, port=0, token=SecretStr(""))
    with open_control(commands, host="0.0.0.0", port=0, token=SecretStr(TOKEN)) as control:
        headers = {"authorization": f"Bearer {TOKEN}"}
        assert ask(control, "GET", "/cameras", **headers)[0] == 200


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
        open_control(commands)
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
