"""A broker for the tests of MQTT."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mosquitto import Broker, brokers


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    if not shutil.which("mosquitto_pub"):
        pytest.skip("mosquitto_pub is not installed: apt-get install mosquitto-clients")
    with brokers(tmp_path) as make:
        yield make
