"""What a line and its receivers have written down, held against what the cameras sent. Nothing here runs anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rig.camera import HttpCamera, LosableCamera
from rig.line import Life, Verdict
from rig.webhook import Received

GRACE_S = 0.1
"""Alerts of so long before a kill may be missing."""
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Deliveries:
    """What a receiver got, counted.

    Attributes:
        events: Each event once, in the order of first arrival.
        duplicates: Deliveries that repeat an event that came before.
        contradictions: Of them, those that say something else under the same id and state.
        out_of_order: Events that came after a later one of the same camera.
        twice: Frames that raised a second alert, under another id.
    """

    events: tuple[Event, ...]
    duplicates: int
    contradictions: int
    out_of_order: int
    twice: int


def deliveries(received: Sequence[Received]) -> Deliveries:
    """Count what a receiver got."""
    first: dict[tuple[str, str], Event] = {}
    contradictions = 0
    for each in received:
        key = each.event["id"], each.event["state"]
        contradictions += first.setdefault(key, each.event) != each.event
    latest: dict[str, float] = {}
    out_of_order = 0
    for event in first.values():
        camera, decided_at = event["camera"], event["decided_at"]
        out_of_order += decided_at < latest.get(camera, 0.0)
        latest[camera] = max(decided_at, latest.get(camera, 0.0))
    raised = Counter((event["camera"], event["captured_at"]) for event in _alerts(first.values(), "raised"))
    return Deliveries(
        tuple(first.values()),
        len(received) - len(first),
        contradictions,
        out_of_order,
        sum(n - 1 for n in raised.values()),
    )


def lost_alerts(verdicts: Iterable[Verdict], events: Iterable[Event], lives: Sequence[Life]) -> list[Verdict]:
    """NG verdicts that no alert covers, but for those of the last moment before a kill.

    A frame is covered by the alert that it raised, or by one that was raised before it and not cleared before it.
    """
    covered = _spans(events)
    kills = [life.ended_at for life in lives if life.was_killed]
    return [
        verdict
        for verdict in verdicts
        if verdict["verdict"] == "NG"
        and not any(0 <= kill - verdict["decided_at"] < GRACE_S for kill in kills)
        and not any(begin <= verdict["captured_at"] <= end for begin, end in covered.get(verdict["camera"], ()))
    ]


def missing_alerts(camera: HttpCamera, name: str, events: Iterable[Event], spans: Sequence[tuple[float, float]]) -> int:
    """NG pictures that were sent to a line while it stood, and raised no alert, though each is to raise one.

    Args:
        camera: What sent them.
        name: Its name in the events.
        events: What a receiver got.
        spans: From when to when (Unix seconds) what is sent must be judged.
    """
    alerts = {
        camera.number_of(event["score"], event["captured_at"])
        for event in _alerts(events, "raised")
        if event["camera"] == name
    }
    n = len(camera.pool.jpegs)
    return sum(
        camera.pool.is_ng(number % n) and number not in alerts
        for number, sent_at in camera.sent.items()
        if any(begin <= sent_at <= end for begin, end in spans)
    )


def invented_alerts(cameras: Mapping[str, LosableCamera], events: Iterable[Event]) -> int:
    """Alerts about a picture that no camera sent, or whose part is good."""
    n = 0
    for event in _alerts(events, "raised"):
        camera = cameras[event["camera"]]
        number = camera.number_of(event["score"], event["captured_at"])
        n += number is None or not camera.pool.is_ng(number % len(camera.pool.jpegs))
    return n


def orphans(events: Iterable[Event], camera: str) -> int:
    """Alerts of a stream that were raised while another one of it was open: nobody will clear that one."""
    open_id, n = None, 0
    for event in events:
        if event["kind"] != "alert" or event["camera"] != camera:
            continue
        if event["state"] == "raised":
            n += open_id is not None
            open_id = event["id"]
        elif event["id"] == open_id:
            open_id = None
    return n


def latencies_s(cameras: Mapping[str, HttpCamera], verdicts: Iterable[Verdict]) -> list[tuple[float, float]]:
    """Of each verdict about a picture that is known: when it was given, and seconds since the picture was sent."""
    found = []
    for verdict in verdicts:
        if verdict["score"] is None:
            continue
        camera = cameras[verdict["camera"]]
        number = camera.number_of(verdict["score"], verdict["captured_at"])
        if number is not None:
            found.append((verdict["decided_at"], verdict["decided_at"] - camera.sent[number]))
    return found


def n_ng(verdicts: Iterable[Verdict]) -> int:
    """How many verdicts are NG."""
    return sum(verdict["verdict"] == "NG" for verdict in verdicts)


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


def _alerts(events: Iterable[Event], state: str) -> list[Event]:
    return [event for event in events if event["kind"] == "alert" and event["state"] == state]


def _spans(events: Iterable[Event]) -> dict[str, list[tuple[float, float]]]:
    """By camera, from when to when (capture times) its alerts lasted: those of parts from then to then."""
    events = list(events)
    cleared = {event["id"]: event["captured_at"] for event in _alerts(events, "cleared")}
    is_stream = {event["camera"] for event in _alerts(events, "cleared")}
    spans: dict[str, list[tuple[float, float]]] = {}
    for event in _alerts(events, "raised"):
        begin = event["captured_at"]
        end = cleared.get(event["id"], float("inf") if event["camera"] in is_stream else begin)
        spans.setdefault(event["camera"], []).append((begin, end))
    return spans
