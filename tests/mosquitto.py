"""A Mosquitto on loopback, and who subscribes to it, for tests."""

from __future__ import annotations

import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgerd.events import uuid7

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Broker:
    """A Mosquitto with a folder and ports of its own; `start` and `stop` as often as one likes."""

    def __init__(self, folder: Path, *settings: str) -> None:
        assert MOSQUITTO
        self.port, self.tls_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            "\n".join(
                (
                    "user root",
                    "persistence true",
                    f"persistence_location {folder}/",
                    "autosave_interval 1",
                    f"listener {self.port} 127.0.0.1",
                    *(settings or ("allow_anonymous true",)),
                )
            ).replace("TLS_PORT", str(self.tls_port))
        )

    def start(self) -> None:
        self._process = subprocess.Popen([MOSQUITTO, "-c", self._file], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self._process.poll() is not None and self._process.stderr:
                    pytest.fail(f"mosquitto ended: {self._process.stderr.read().decode()}")
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(20)
            if self._process.stderr:
                self._process.stderr.close()
            self._process = None


@contextmanager
def brokers(folder: Path) -> Iterator[Callable[..., Broker]]:
    """Starts brokers with the settings that it is called with, and stops them in the end."""
    if not MOSQUITTO:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    running: list[Broker] = []

    def make(*settings: str) -> Broker:
        broker = Broker(folder, *settings)
        running.append(broker)
        broker.start()
        return broker

    yield make
    for broker in running:
        broker.stop()


class Subscriber:
    """What a receiver with a lasting session gets: topic, payload, whether it was retained."""

    def __init__(self, port: int, *topics: str, user: str = "", password: str = "") -> None:
        from paho.mqtt import client

        self.messages: queue.Queue[tuple[str, str, bool]] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = client.Client(
            client.CallbackAPIVersion.VERSION2, client_id=f"receiver-{uuid7()}", clean_session=False
        )
        if user:
            self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _, __, message: self.messages.put(
            (message.topic, message.payload.decode(), bool(message.retain))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(20)

    def next(self, timeout_s: float = 20) -> tuple[str, str, bool]:
        return self.messages.get(timeout=timeout_s)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None
