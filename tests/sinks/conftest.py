"""A broker for the tests that need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mqtt_broker import MOSQUITTO, Broker


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    if not MOSQUITTO:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    running: list[Broker] = []

    def make(*settings: str) -> Broker:
        broker = Broker(tmp_path, *settings)
        running.append(broker)
        broker.start()
        return broker

    yield make
    for broker in running:
        broker.stop()
