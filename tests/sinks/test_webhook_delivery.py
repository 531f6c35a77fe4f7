"""Outbox, deliverer and web hook together, against a server that fails in every way, and a restart in the middle."""

from __future__ import annotations

import json

import pytest
from http_receiver import OK, Receiver, half_a_body, half_an_answer, hang_up, no_http
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.delivery import Deliverer, Outbox
from edgerd.delivery.deliverer import BackOff
from edgerd.delivery.opening import open_for_reading
from edgerd.events import Alert, uuid7
from edgerd.sinks.webhook import WebhookSink

RETRYABLE = [(500, {}, b"broken"), (429, {"retry-after": "0"}, b""), (408, {}, b""), hang_up, half_an_answer]
ANSWERS = st.lists(st.sampled_from([OK, OK, OK, (400, {}, b"no"), half_a_body, no_http, *RETRYABLE]), max_size=30)


@settings(max_examples=15, deadline=None)
@given(answers=ANSWERS, n_events=st.integers(1, 12), n_before=st.integers(0, 12))
def test_every_event_arrives_in_order_or_is_a_dead_letter(
    tmp_path_factory: pytest.TempPathFactory, answers: list[object], n_events: int, n_before: int
) -> None:
    folder, receiver = tmp_path_factory.mktemp("outbox"), Receiver()
    receiver.answers = list(answers)
    alerts = [Alert(uuid7(), "raised", "a", frame, "x", 1.5, 2.5, 0.75, 0.5) for frame in range(n_events)]
    try:
        for batch, timeout_s in ((alerts[:n_before], 0.0), (alerts[n_before:], 30.0)):
            outbox = Outbox.open(folder, ["hook"], on_warning=lambda _: None)
            sink = WebhookSink(receiver.address, name="hook")
            deliverer = Deliverer(outbox, [sink], on_warning=lambda _: None, back_off=BackOff(0.001, 0.002))
            outbox.append(batch)
            assert outbox.flush(30)
            is_drained = deliverer.close(timeout_s)
            assert outbox.close(30)
    finally:
        receiver.close()
    assert is_drained
    database = open_for_reading(folder)
    dead = {letter.event["id"] for letter in database.dead_letters()}
    database.close()
    got = dict.fromkeys(json.loads(body)["id"] for _, _, body in receiver.requests)
    assert list(got) == [alert.id for alert in alerts], "something was lost, or came out of order"
    assert len(dead) <= sum(answer == (400, {}, b"no") for answer in answers)
    headers = {(json.loads(body)["id"], headers["webhook-id"]) for _, headers, body in receiver.requests}
    assert len(headers) == n_events, "a second try had another id"
