"""Mosquitto on loopback, somebody who listens there with a lasting session, and a proxy that cuts connections."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from paho.mqtt import client as paho

from rig.camera import reset
from rig.camera_servers import free_port, is_listened_at
from rig.webhook import Received

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Broker:
    """A Mosquitto that keeps its sessions on the disk, and what a subscriber got from it.

    Args:
        folder: For its files.

    Attributes:
        port: Of the proxy before it: where edgerd is to connect.
        received: What the subscriber got, in that order.
    """

    def __init__(self, folder: Path) -> None:
        self.received: list[Received] = []
        self._own_port = free_port()
        self._file = folder / "mosquitto.conf"
        self._log = (folder / "mosquitto.log").open("wb")
        self._file.write_text(
            f"user root\npersistence true\npersistence_location {folder}/\nallow_anonymous true\n"
            f"max_queued_messages 0\nmax_inflight_messages 1\nlistener {self._own_port} 127.0.0.1\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.come_back()
        self._proxy = CuttingProxy(self._own_port)
        self.port = self._proxy.port
        self._subscriber = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="receiver", clean_session=False, protocol=paho.MQTTv311
        )
        self._subscriber.reconnect_delay_set(1, 1)
        self._subscriber.on_connect = lambda client, *_: client.subscribe("edgerd/+/+", qos=1)
        self._subscriber.on_message = self._on_message
        self._subscriber.connect("127.0.0.1", self._own_port)
        self._subscriber.loop_start()

    def cut(self) -> None:
        """Let the next bytes from edgerd pass by half, then break all its connections off."""
        self._proxy.cut()

    def go_away(self) -> None:
        """End it; its sessions are on the disk."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(20)

    def come_back(self) -> None:
        """Start it again, and wait until it listens."""
        self._process = subprocess.Popen([str(MOSQUITTO), "-c", self._file], stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 20
        while not is_listened_at(self._own_port):
            if time.monotonic() > deadline:
                raise SystemExit(f"mosquitto does not start; see {self._log.name}")
            time.sleep(0.02)

    def close(self) -> None:
        """End everything."""
        self._subscriber.disconnect()
        self._subscriber.loop_stop()
        self._proxy.close()
        self.go_away()
        self._log.close()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if not message.topic.endswith("/status"):
            self.received.append(Received(time.time(), json.loads(message.payload)))


class CuttingProxy:
    """Passes bytes on to a port of this machine, until it is told to cut.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._is_cutting = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Pass half of the next bytes on, then reset both sides."""
        self._is_cutting = True

    def close(self) -> None:
        """Listen no more, and reset what is open."""
        self._listener.close()
        for pair in list(self._pairs):
            self._end(pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                pair = (client, socket.create_connection(("127.0.0.1", self._target), 5))
            except OSError:
                reset(client)
                continue
            self._pairs.add(pair)
            threading.Thread(target=self._pass_on, args=(pair, 0), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(pair, 1), daemon=True).start()

    def _pass_on(self, pair: tuple[socket.socket, socket.socket], side: int) -> None:
        try:
            while data := pair[side].recv(4096):
                if self._is_cutting and side == 0:
                    self._is_cutting = False
                    pair[1].sendall(data[: len(data) // 2])
                    break
                pair[1 - side].sendall(data)
        except OSError:
            pass
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.discard(pair)
        for connection in pair:
            reset(connection)
