"""Who may command a line over HTTP: programs on this machine, whoever has the token, and no page in a browser."""

from __future__ import annotations

import select
import socket
from urllib.parse import urlsplit

import pytest
from control_parts import TOKEN, ask
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.datastructures import Headers

from edgerd.control import Commands, gate, open_control
from edgerd.control.fake import FakeLine
from edgerd.control.server import ControlServer
from edgerd.errors import InputError


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
