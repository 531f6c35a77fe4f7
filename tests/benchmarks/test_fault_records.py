"""What the fault injection counts: each kind of loss is seen where there is one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

KILLED_AT = 100.0


@pytest.fixture
def records(on_path):
    from rig import records

    return records


@pytest.fixture
def life(on_path):
    from rig.line import Life

    return Life(0.0, KILLED_AT, was_killed=True)


@pytest.fixture
def camera(on_path):
    """A camera that has sent four pictures twice, a second apart; the last of the four is defective."""
    from rig.camera import HttpCamera
    from rig.pictures import Pool

    camera = SimpleNamespace(
        pool=Pool((b"",) * 4, (0.1, 0.2, 0.3, 0.9), 0.5, Path("bundle")),
        sent={number: float(number) for number in range(8)},
        _number=7,
    )
    camera.number_of = lambda score, captured_at: HttpCamera.number_of(camera, score, captured_at)
    return camera


def ng(at, camera="left", verdict="NG"):
    return {"camera": camera, "verdict": verdict, "captured_at": at, "decided_at": at + 0.01, "score": 0.9}


def alert(id_, at, state="raised", camera="left", decided_at=None):
    decided_at = at + 0.01 if decided_at is None else decided_at
    its = {"kind": "alert", "id": id_, "state": state, "camera": camera, "score": 0.9}
    return its | {"captured_at": at, "decided_at": decided_at}


def received(*events):
    from rig.webhook import Received

    return [Received(float(i), event) for i, event in enumerate(events)]


def test_a_frame_without_an_alert_is_lost(records, life):
    verdicts = [ng(1.0), ng(2.0), ng(3.0, verdict="OK")]
    assert records.lost_alerts(verdicts, [alert("a", 1.0)], [life]) == [verdicts[1]]
    assert records.lost_alerts(verdicts, [alert("a", 1.0), alert("b", 2.0)], [life]) == []


def test_a_frame_of_another_camera_has_no_alert_in_this_one(records, life):
    assert records.lost_alerts([ng(1.0, camera="right")], [alert("a", 1.0)], [life])


@pytest.mark.parametrize(("before_s", "is_lost"), [(0.2, True), (0.05, False)])
def test_the_last_moment_before_a_kill_may_be_lost(records, life, before_s, is_lost):
    assert bool(records.lost_alerts([ng(KILLED_AT - before_s - 0.01)], [], [life])) is is_lost


def test_an_alert_of_a_stream_covers_what_it_lasts_for(records, life):
    events = [alert("a", 1.0), alert("a", 3.0, "cleared"), alert("b", 5.0)]
    assert records.lost_alerts([ng(2.0), ng(7.0)], events, [life]) == []
    assert records.lost_alerts([ng(4.0)], events, [life]) == [ng(4.0)]


def test_what_comes_again_is_a_duplicate_and_what_says_something_else_a_contradiction(records):
    first, other = alert("a", 1.0), alert("a", 1.0, decided_at=9.0)
    found = records.deliveries(received(first, first, other))
    assert (found.duplicates, found.contradictions, len(found.events)) == (2, 1, 1)
    assert records.deliveries(received(first, alert("a", 1.0, "cleared"))).duplicates == 0


def test_the_order_is_kept_per_camera(records):
    mixed = received(alert("a", 5.0), alert("b", 1.0, camera="right"), alert("c", 6.0))
    assert records.deliveries(mixed).out_of_order == 0
    assert records.deliveries(received(alert("a", 5.0), alert("b", 1.0))).out_of_order == 1
    # what comes again late has come in time before
    assert records.deliveries(received(alert("a", 1.0), alert("b", 5.0), alert("a", 1.0))).out_of_order == 0


def test_a_frame_that_raises_twice_is_seen(records):
    assert records.deliveries(received(alert("a", 1.0), alert("b", 1.0))).twice == 1
    assert records.deliveries(received(alert("a", 1.0), alert("b", 1.0, camera="right"))).twice == 0


def test_an_alert_that_nobody_clears_is_an_orphan(records):
    assert records.orphans([alert("a", 1.0), alert("b", 2.0)], "left") == 1
    assert records.orphans([alert("a", 1.0), alert("a", 2.0, "cleared"), alert("b", 3.0)], "left") == 0


def test_a_verdict_says_which_picture_it_speaks_of(camera):
    assert camera.number_of(0.9, 3.5) == 3
    assert camera.number_of(0.9, 7.5) == 7
    assert camera.number_of(0.9, 2.5) is None  # it was not sent yet
    assert camera.number_of(0.4, 7.5) is None


def test_a_defective_picture_without_an_alert_is_missing(records, camera):
    assert records.missing_alerts(camera, "left", [alert("a", 3.1), alert("b", 7.1)], [(0.0, 9.0)]) == 0
    assert records.missing_alerts(camera, "left", [alert("a", 3.1)], [(0.0, 9.0)]) == 1
    assert records.missing_alerts(camera, "left", [alert("a", 3.1)], [(0.0, 5.0)]) == 0


def test_an_alert_about_a_good_part_is_made_up(records, camera):
    cameras = {"left": camera}
    assert records.invented_alerts(cameras, [alert("a", 3.1)]) == 0
    assert records.invented_alerts(cameras, [alert("a", 3.1) | {"score": 0.2}]) == 1


def test_latencies_begin_when_a_picture_is_sent(records, camera):
    verdict = ng(3.1) | {"decided_at": 3.25}
    ((at, seconds),) = records.latencies_s({"left": camera}, [verdict])
    assert (at, seconds) == (3.25, pytest.approx(0.25))
