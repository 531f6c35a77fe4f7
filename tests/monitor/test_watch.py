"""A line watched for the service manager."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_managers import Listening
from snapshots import camera, line

from edgerd.monitor.snapshot import CameraState
from edgerd.monitor.watch import ServiceWatch, status_text
from edgerd.service import ServiceManager

WATCHDOG_S = 30.0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listening]:
    with Listening(str(tmp_path / "notify")) as listening:
        yield listening


def told(systemd: Listening, *snapshots, watchdog_s: float | None = WATCHDOG_S) -> list[list[str]]:
    """What systemd hears at each of several looks at a line, without the status."""
    moments = iter(snapshots)
    watch = ServiceWatch(ServiceManager(systemd.address, watchdog_s), lambda: next(moments))
    heard = []
    for _ in snapshots:
        watch.tick()
        heard.append([message for message in systemd.heard_so_far() if not message.startswith("STATUS=")])
    return heard


def turned(seconds_ago: float, **changes):
    return line(last_turn_monotonic_s=time.monotonic() - seconds_ago, **changes)


def test_a_line_is_ready_when_its_engines_are_warm_and_it_has_turned(systemd: Listening) -> None:
    heard = told(systemd, line(is_warm=False, last_turn_monotonic_s=None), line(last_turn_monotonic_s=None), turned(0))
    assert heard == [[], [], ["READY=1", "WATCHDOG=1"]]


def test_a_camera_that_is_switched_off_keeps_no_service_from_starting(systemd: Listening) -> None:
    waiting = turned(0, cameras=(camera(state=CameraState.STARTING, verdicts=()),))
    assert told(systemd, waiting) == [["READY=1", "WATCHDOG=1"]]


def test_the_watchdog_is_fed_while_the_line_turns_and_no_longer(systemd: Listening) -> None:
    heard = told(systemd, turned(0), turned(WATCHDOG_S / 2 - 1), turned(WATCHDOG_S / 2 + 1), turned(60), turned(0))
    assert heard == [["READY=1", "WATCHDOG=1"], ["WATCHDOG=1"], [], [], ["WATCHDOG=1"]]


def test_lost_cameras_and_full_disks_are_no_reason_to_be_killed(systemd: Listening) -> None:
    troubled = turned(0, cameras=(camera(state=CameraState.LOST),), reasons=("The disk is full.",))
    assert told(systemd, turned(0), troubled)[1] == ["WATCHDOG=1"]


def test_without_a_watchdog_there_is_nothing_to_feed(systemd: Listening) -> None:
    assert told(systemd, turned(0), turned(0), watchdog_s=None) == [["READY=1"], []]


def test_the_status_is_told_when_it_changes(systemd: Listening) -> None:
    moments = iter([turned(0), turned(0), turned(0, reasons=("The disk is full.",))])
    watch = ServiceWatch(ServiceManager(systemd.address), lambda: next(moments))
    statuses = []
    for _ in range(3):
        watch.tick()
        statuses.append([message for message in systemd.heard_so_far() if message.startswith("STATUS=")])
    good = "STATUS=1 of 1 cameras running; 4 frames, 1 NG, 1 alerts"
    assert statuses == [[good], [], [f"{good}; The disk is full."]]


def test_the_status_tells_what_is_waited_for_and_no_secrets() -> None:
    address = "rtsp://admin:hunter2@10.0.0.3/live"
    waiting = turned(0, cameras=(camera(address, CameraState.STARTING, verdicts=()),))
    text = status_text(waiting, time.monotonic())
    assert text.startswith("0 of 1 cameras running; 0 frames")
    assert text.endswith("Camera rtsp://admin:***@10.0.0.3/live has not given a frame yet.")


def test_a_whole_life(systemd: Listening) -> None:
    """The thread itself: ready, fed at least twice in the watchdog's time, stopping."""
    watchdog_s = 0.4
    with ServiceWatch(ServiceManager(systemd.address, watchdog_s), lambda: turned(0)):
        fed = 0
        while fed < 3:
            fed += systemd.heard() == "WATCHDOG=1"
    assert systemd.heard_so_far()[-1] == "STOPPING=1"


def test_outside_a_service_there_is_no_thread() -> None:
    n_threads = threading.active_count()
    with ServiceWatch(ServiceManager(), lambda: turned(0)):
        assert threading.active_count() == n_threads
