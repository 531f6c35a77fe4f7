"""What the monitor and the control have in common over HTTP; tests/monitor and tests/control ask each of them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from edgerd.web import KnownHosts, Limits, WebThread, host_of, listen


@given(st.text(max_size=30))
def test_no_host_header_is_taken_for_an_address_that_it_only_contains(header: str) -> None:
    for told in (header, f"{header}127.0.0.1", f"127.0.0.1{header}"):
        if host_of(told) == "127.0.0.1":
            assert told.strip() == "127.0.0.1" or told.strip().startswith("127.0.0.1:")


def test_names_are_known_and_addresses_always() -> None:
    hosts = KnownHosts(["Line3.example.com"])
    for header in ("line3.example.com:80", "LINE3.example.com", "localhost", "192.168.1.2", "[::1]:9109"):
        assert header in hosts
    for header in ("", "example.com", "line3.example.com.attacker.com", "a line3.example.com"):
        assert header not in hosts


@contextmanager
def served(answer: threading.Event, limits: Limits) -> Iterator[HTTPConnection]:
    """A client of an application that answers once it may."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.get_running_loop().run_in_executor(None, answer.wait)
        await PlainTextResponse("here")(scope, receive, send)

    thread = WebThread(app, listen("127.0.0.1", 0), name="test", limits=limits)
    address = urlsplit(thread.url)
    assert address.hostname
    with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as client:
        yield client
    answer.set()
    thread.close()


def test_an_answer_may_take_longer_than_its_request() -> None:
    answer = threading.Event()
    with served(answer, Limits(connections=2, request_s=0.1, answer_s=60)) as client:
        client.request("GET", "/")
        threading.Timer(0.5, answer.set).start()
        assert client.getresponse().read() == b"here"


def test_an_answer_that_never_comes_ends_with_its_connection() -> None:
    answer = threading.Event()
    with served(answer, Limits(connections=2, request_s=0.1, answer_s=0.1)) as client:
        client.request("GET", "/")
        with pytest.raises(ConnectionError):
            client.getresponse()


def test_a_request_that_is_never_complete_ends_with_its_connection() -> None:
    """However long its answer might take."""
    never = threading.Event()
    with (
        served(never, Limits(connections=2, request_s=0.1, answer_s=60)) as client,
        socket.create_connection((client.host, client.port), timeout=20) as slow,
    ):
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        with suppress(ConnectionResetError):
            assert slow.recv(1) == b""
