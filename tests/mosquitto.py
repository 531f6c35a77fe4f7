"""A real Mosquitto on loopback, who subscribes to it, and a proxy that cuts connections."""

from __future__ import annotations

import queue
import select
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


class CuttingProxy:
    """Passes bytes on to a broker; after each of `lengths` bytes from the client, or to it, it cuts the connection."""

    def __init__(self, port: int, lengths: list[int]) -> None:
        self._target, self.lengths = port, lengths
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        left = self.lengths.pop(0) if self.lengths else None
        with client, socket.create_connection(("127.0.0.1", self._target)) as broker:
            while readable := select.select([client, broker], [], [], 60)[0]:
                for source in readable:
                    data = source.recv(4096)
                    if not data:
                        return
                    (broker if source is client else client).sendall(data if left is None else data[:left])
                    if left is not None and len(data) >= left:
                        return
                    left = None if left is None else left - len(data)

    def close(self) -> None:
        self._listener.close()
