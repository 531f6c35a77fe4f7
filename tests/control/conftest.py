"""A line, its control over HTTP, and a broker."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from control_parts import TOKEN, line
from mosquitto import Broker, brokers
from pydantic import SecretStr

from edgerd.control import Commands, open_control
from edgerd.control.fake import FakeLine
from edgerd.control.server import ControlServer


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    if not shutil.which("mosquitto_pub"):
        pytest.skip("mosquitto_pub is not installed: apt-get install mosquitto-clients")
    with brokers(tmp_path) as make:
        yield make


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
