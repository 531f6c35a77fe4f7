"""The monitor over HTTP, each test with one of its own on a free port."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from snapshots import camera, line

from edgerd.errors import MissingDependencyError
from edgerd.monitor import LineSnapshot, open_monitor, server
from edgerd.monitor.server import Monitor
from edgerd.monitor.snapshot import CameraState


class Line:
    """Something to watch: gives `now`, or does what it was told instead."""

    def __init__(self) -> None:
        self.now = line()
        self.instead: Callable[[], LineSnapshot] | None = None

    def snapshot(self) -> LineSnapshot:
        return self.instead() if self.instead else self.now


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Line, Monitor]]:
    watched = Line()
    with open_monitor(watched.snapshot, port=0, host_names=["line3.example.com"]) as monitor:
        assert not monitor.loss
        yield watched, monitor


@pytest.fixture
def watched(served: tuple[Line, Monitor]) -> Line:
    """Healthy at the beginning of each test."""
    served[0].now, served[0].instead = line(), None
    return served[0]


@pytest.fixture
def monitor(served: tuple[Line, Monitor], watched: Line) -> Monitor:
    return served[1]


def ask(monitor: Monitor, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    address = urlsplit(monitor.url)
    assert address.hostname
    with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read().decode()


def test_metrics_are_served_as_prometheus_wants_them(monitor: Monitor) -> None:
    response, text = ask(monitor, "/metrics")
    assert response.status == 200
    assert response.getheader("content-type", "").startswith("text/plain; version=0.0.4")
    assert 'edgerd_frames_total{camera="left",verdict="OK"} 2.0\n' in text


def test_each_answer_is_of_the_moment(monitor: Monitor, watched: Line) -> None:
    assert ask(monitor, "/healthz")[0].status == 200
    watched.now = line(cameras=(camera(state=CameraState.LOST),))
    response, text = ask(monitor, "/healthz")
    assert (response.status, json.loads(text)) == (503, {"ok": False, "reasons": ["Camera left is lost."]})
    assert ask(monitor, "/readyz")[0].status == 200
    watched.now = line()
    assert json.loads(ask(monitor, "/healthz")[1]) == {"ok": True, "reasons": []}


def test_a_line_that_starts_is_not_ready(monitor: Monitor, watched: Line) -> None:
    watched.now = line(is_warm=False)
    response, text = ask(monitor, "/readyz")
    assert (response.status, json.loads(text)["reasons"]) == (503, ["The engines are not warm yet."])


def test_reasons_tell_no_secrets(monitor: Monitor, watched: Line) -> None:
    watched.now = line(reasons=("rtsp://admin:hunter2@10.0.0.3/live does not answer.",))
    text = ask(monitor, "/healthz")[1]
    assert "10.0.0.3" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/anything"])
def test_nothing_but_get_is_answered(monitor: Monitor, method: str, path: str) -> None:
    response, _ = ask(monitor, path, method)
    assert (response.status, response.getheader("allow")) == (405, "GET")


def test_there_are_no_other_pages(monitor: Monitor) -> None:
    for path in ("/", "/docs", "/metrics/../healthz/x", "/%2e%2e/etc/passwd"):
        assert ask(monitor, path)[0].status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9108", 200),
        ("10.1.2.3", 200),
        ("[::1]:9108", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("line3.example.com:9108", 200),
        ("attacker.example.com", 421),
        ("localhost.attacker.example.com", 421),
        ("127.0.0.1.attacker.example.com", 421),
        ("attacker@127.0.0.1", 421),
        ("", 421),
    ],
)
def test_only_addresses_and_known_names_are_answered(monitor: Monitor, host: str, status: int) -> None:
    assert ask(monitor, "/metrics", host=host)[0].status == status


def test_a_port_that_is_taken_does_not_stop_the_line(watched: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with open_monitor(watched.snapshot, port=port) as monitor:
            assert monitor.url is None
            assert f"127.0.0.1, port {port}: Address already in use" in monitor.loss
            assert "another port" in monitor.loss


def test_an_address_that_is_none_of_ours_does_not_stop_the_line(watched: Line) -> None:
    for host in ("192.0.2.1", "no-such-name.invalid"):
        with open_monitor(watched.snapshot, host=host, port=0) as monitor:
            assert monitor.url is None
            assert host in monitor.loss


def test_a_connection_is_for_one_request(monitor: Monitor) -> None:
    assert ask(monitor, "/healthz")[0].getheader("connection") == "close"


def test_clients_that_say_nothing_are_sent_away(monkeypatch) -> None:
    """They must not take the file descriptors that the line needs."""
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    monkeypatch.setattr(server, "CONNECTION_S", 0.5)
    with open_monitor(line, port=0) as monitor, ExitStack() as stack:
        address = urlsplit(monitor.url)
        silent = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=20))
            for _ in range(10)
        ]
        for client in silent:
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert ask(monitor, "/healthz")[0].status == 200


def test_after_it_was_closed_nothing_is_left(watched: Line) -> None:
    n_threads = threading.active_count()
    monitor = open_monitor(watched.snapshot, port=0)
    address = urlsplit(monitor.url)
    # a client that says nothing, and one that was answered
    with (
        socket.create_connection((address.hostname, address.port), timeout=20),
        closing(HTTPConnection(address.hostname, address.port, timeout=20)) as kept,
    ):
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        monitor.close()
        monitor.close()
    assert threading.active_count() == n_threads
    with pytest.raises(ConnectionRefusedError):
        ask(monitor, "/healthz")


def test_a_line_that_cannot_be_asked_is_an_error_of_that_request_alone(monitor: Monitor, watched: Line) -> None:
    def fail() -> LineSnapshot:
        raise RuntimeError("boom")

    watched.instead = fail
    response, text = ask(monitor, "/healthz")
    assert (response.status, text) == (500, "Internal Server Error")
    watched.instead = None
    assert ask(monitor, "/healthz")[0].status == 200


def test_a_line_that_does_not_answer_does_not_keep_a_run_from_ending() -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang() -> LineSnapshot:
        asked.set()
        answer.wait()
        return line()

    others = threading.enumerate()
    monitor = open_monitor(hang, port=0)
    (thread,) = (thread for thread in threading.enumerate() if thread not in others)
    address = urlsplit(monitor.url)
    with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as connection:
        connection.request("GET", "/healthz")
        assert asked.wait(20)
        monitor.close()
        assert thread.is_alive()  # it is left behind
        answer.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("library", ["starlette.applications", "uvicorn", "prometheus_client.exposition"])
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, watched: Line, library: str) -> None:
    for module in ("edgerd.monitor.server", "edgerd.monitor.metrics", "edgerd.web"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=library.partition(".")[0]) as error:
        open_monitor(watched.snapshot, port=0)
    assert error.value.hint == 'pip install "edgerd[monitor]"'
