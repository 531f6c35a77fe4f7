"""What the service manager is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from service_managers import Listening

from edgerd.service import ServiceManager


@pytest.fixture(params=["a path", "the abstract namespace"])
def manager(request: pytest.FixtureRequest, tmp_path: Path):
    address = str(tmp_path / "notify") if request.param == "a path" else f"@edgerd-test-{os.getpid()}"
    with Listening(address) as listening:
        yield listening


def test_each_message_is_one_datagram(manager: Listening) -> None:
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address})
    told.ready()
    told.status("2 cameras\nREADY=1")  # a second line would be another message
    told.still_alive()
    told.stopping()
    assert manager.heard_so_far() == ["READY=1", "STATUS=2 cameras READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert told.loss == ""


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_where_nobody_listens_nothing_is_told(environment: dict[str, str]) -> None:
    nobody = ServiceManager.from_environment(environment)
    nobody.ready()
    assert (nobody.address, nobody.watchdog_s, nobody.loss) == (None, None, "")


def test_a_manager_that_went_away_does_not_stop_a_line(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    gone = ServiceManager.from_environment({"NOTIFY_SOCKET": address})
    gone.ready()
    assert address in gone.loss
    assert "READY=1" in gone.loss
    with Listening(address) as listening:
        gone.ready()
        assert listening.heard() == "READY=1"
    assert gone.loss == ""


@pytest.mark.parametrize(
    ("watchdog", "expected_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # meant for another process
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_one_of_this_process(watchdog: dict[str, str], expected_s: float | None) -> None:
    found = ServiceManager.from_environment({"NOTIFY_SOCKET": "/run/systemd/notify"} | watchdog)
    assert found.watchdog_s == expected_s
