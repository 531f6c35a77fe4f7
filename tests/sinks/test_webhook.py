"""The web hook, against a real HTTP server that misbehaves as real ones do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from http_receiver import OK, Receiver, half_a_body, half_an_answer, hang_up, no_http
from pydantic import SecretStr
from sink_parts import event, write_certificates

from edgerd.errors import DeliveryError, InputError
from edgerd.sinks.webhook import WebhookSink


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture
def sink(receiver: Receiver) -> Iterator[WebhookSink]:
    opened = WebhookSink(f"{receiver.address}/hook?token=geheim")
    yield opened
    opened.close()


def refusal(sink: WebhookSink, *events: dict[str, Any]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        sink.deliver(events or [event()])
    assert "geheim" not in str(caught.value)
    return caught.value


def test_each_event_is_a_post_in_order_over_one_connection(receiver: Receiver, sink: WebhookSink) -> None:
    events = [event(number) for number in range(5)]
    sink.deliver(events)
    assert [json.loads(body) for _, _, body in receiver.requests] == events
    path, headers, _ = receiver.requests[0]
    assert path == "/hook?token=geheim"
    assert headers["content-type"] == "application/json"
    assert "webhook-signature" not in headers


def test_the_signature_is_that_of_standard_webhooks(receiver: Receiver) -> None:
    key = b"0123456789abcdef01234567"
    for secret in (key.decode(), f"whsec_{base64.b64encode(key).decode()}"):
        sink = WebhookSink(receiver.address, secret=SecretStr(secret))
        sink.deliver([event(7)])
        sink.close()
        _, headers, body = receiver.requests[-1]
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"


def test_every_try_of_an_event_has_the_same_id_and_raise_and_clear_have_two(
    receiver: Receiver, sink: WebhookSink
) -> None:
    raised = event(state="raised", id="0190-1")
    receiver.answers = [(500, {}, b"")]
    refusal(sink, raised)
    sink.deliver([raised, event(state="cleared", id="0190-1")])
    ids = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert ids == ["0190-1-raised", "0190-1-raised", "0190-1-cleared"]
    assert ids == [headers["idempotency-key"] for _, headers, _ in receiver.requests]


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(500, True), (503, True), (408, True), (429, True), (400, False), (401, False), (404, False), (422, False)],
)
def test_what_an_answer_means(receiver: Receiver, sink: WebhookSink, status: int, retryable: bool) -> None:
    receiver.answers = [OK, OK, (status, {}, b'{"error":  "no field\n x"}')]
    error = refusal(sink, *(event(number) for number in range(4)))
    assert error.retryable is retryable
    assert error.n_delivered == 2
    assert f"answered {status}" in error.what
    assert 'no field x"}' in error.what
    sink.deliver([event(9)])
    assert receiver.frames == [0, 1, 2, 9]


def test_a_server_may_ask_for_a_pause(receiver: Receiver, sink: WebhookSink) -> None:
    date = formatdate(time.time() + 90, usegmt=True)
    values = {"7": (7, 7), date: (80, 91), "soon": None, "": None, "-3": None, formatdate(0, usegmt=True): (0, 0)}
    for value, bounds in values.items():
        receiver.answers = [(429, {"retry-after": value}, b"")]
        error = refusal(sink)
        if bounds is None:
            assert error.retry_after_s is None, value
        else:
            assert error.retry_after_s is not None
            assert bounds[0] <= error.retry_after_s <= bounds[1], value


@pytest.mark.parametrize("breaks", [hang_up, half_an_answer, half_a_body, no_http])
def test_a_connection_that_breaks_is_worth_another_try(
    receiver: Receiver, sink: WebhookSink, breaks: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    receiver.answers = [OK, breaks]
    error = refusal(sink, event(0), event(1))
    assert (error.retryable, error.n_delivered) == (True, 1)
    sink.deliver([event(1)])
    assert receiver.frames == [0, 1, 1]


def test_an_answer_that_never_comes_and_one_that_never_ends(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerd.sinks.webhook._ANSWER_S", 0.2)
    may_end = threading.Event()

    def no_answer(handler: BaseHTTPRequestHandler) -> None:
        may_end.wait(20)
        handler.close_connection = True

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not may_end.wait(0.001):
            handler.wfile.write(b"x" * 4096)

    sink = WebhookSink(receiver.address)
    receiver.answers = [no_answer, endless]
    error = refusal(sink)
    assert error.retryable
    assert "ReadTimeout" in error.what or "timed out" in error.what
    sink.deliver([event(1)])
    may_end.set()
    sink.close()


def test_a_success_holds_even_if_its_body_breaks_off(receiver: Receiver, sink: WebhookSink) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        handler.close_connection = True

    receiver.answers = [half]
    sink.deliver([event()])
    assert receiver.frames == [0]


def test_redirects_stay_on_the_host(receiver: Receiver, sink: WebhookSink) -> None:
    other = Receiver()
    try:
        receiver.answers = [(307, {"location": "/other"}, b""), OK]
        sink.deliver([event()])
        assert [path for path, _, _ in receiver.requests] == ["/hook?token=geheim", "/other"]
        for answer in (
            (307, {"location": f"{other.address}/hook"}, b""),
            (308, {"location": "//127.0.0.2/hook"}, b""),
            (302, {"location": "/login"}, b""),
            (307, {}, b""),
        ):
            receiver.answers = [answer]
            error = refusal(sink)
            assert error.retryable
            assert "redirect" in error.what
        assert other.requests == []
        receiver.answers = [(307, {"location": "/again"}, b"")] * 10
        assert "circle" in refusal(sink).what
    finally:
        other.close()


def test_an_event_that_is_too_large_is_not_sent(receiver: Receiver, sink: WebhookSink) -> None:
    error = refusal(sink, {**event(), "regions": ["x" * 100] * 20_000})
    assert not error.retryable
    assert receiver.requests == []


def test_certificates_are_checked(tmp_path: Path) -> None:
    authority, key, certificate = write_certificates(tmp_path)
    other_authority, *_ = write_certificates(tmp_path, "other")
    receiver = Receiver((key, certificate))
    try:
        sink = WebhookSink(receiver.address, ca_file=authority)
        sink.deliver([event()])
        sink.close()
        for ca_file in (None, other_authority):
            sink = WebhookSink(receiver.address, ca_file=ca_file)
            error = refusal(sink)
            assert error.retryable
            assert "CERTIFICATE_VERIFY_FAILED" in error.what
            assert "CA file" in str(error)
            sink.close()
        assert receiver.frames == [0]
    finally:
        receiver.close()


def test_no_part_of_the_address_but_the_host_is_shown(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    sink = WebhookSink(receiver.address.replace("//", "//me:geheim@") + "/geheim?token=geheim")
    sink.deliver([event()])
    assert receiver.requests[0][1]["authorization"] == "Basic " + base64.b64encode(b"me:geheim").decode()
    receiver.answers = [(400, {}, b"wrong: https://me:geheim@host?token=geheim")]
    refusal(sink)
    receiver.answers = [(307, {"location": "http://me:geheim@127.0.0.2/geheim"}, b"")]
    refusal(sink)
    sink.close()
    assert sink.name == f"webhook {receiver.address}"
    assert "geheim" not in caplog.text


def test_addresses_and_settings_that_cannot_be_used(tmp_path: Path) -> None:
    for address in ("ftp://host/geheim", "https://", "mes.example.com/geheim", "http://host:geheim"):
        with pytest.raises(InputError) as caught:
            WebhookSink(address)
        assert "geheim" not in str(caught.value)
    with pytest.raises(InputError, match="whsec_"):
        WebhookSink("https://a", secret=SecretStr("whsec_geheim!"))
    for content in (None, "no certificate"):
        if content:
            (tmp_path / "ca").write_text(content)
        with pytest.raises(InputError, match="CA file"):
            WebhookSink("https://a", ca_file=tmp_path / "ca")
