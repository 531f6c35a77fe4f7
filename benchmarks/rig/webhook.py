"""A receiver of web hooks on loopback that is away at times, and breaks requests off in the middle."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from rig.camera import reset

Cut = Literal["in the request", "before the answer", "503"]


@dataclass(frozen=True)
class Received:
    """An event as a receiver got it.

    Attributes:
        at: Unix seconds.
        event: Its JSON form.
    """

    at: float
    event: Mapping[str, Any]


class Webhook:
    """Keeps every event that it read to its end, in that order, also where it then gives no answer.

    Attributes:
        url: For edgerd.
        received: What came.
        cuts: What to do with the requests that come next, instead of taking them.
        n_cut: Requests that were broken off.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.cuts: deque[Cut] = deque()
        self.n_cut = 0
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._connections: set[Any] = set()
        self.come_back()
        self.url = f"http://127.0.0.1:{self._port}/alerts"

    def go_away(self) -> None:
        """Refuse connections; those that are open break."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        for connection in list(self._connections):
            reset(connection)

    def come_back(self) -> None:
        """Listen again, at the same port."""
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                webhook._connections.add(self.connection)

            def finish(self) -> None:
                webhook._connections.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                webhook._take(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  connections break on purpose
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["content-length"])
        cut = self.cuts.popleft() if self.cuts else None
        if cut == "in the request":
            handler.rfile.read(length // 2)
            self._break(handler)
            return
        event = json.loads(handler.rfile.read(length))
        if cut == "503":
            self.n_cut += 1
            handler.send_error(503)
            return
        self.received.append(Received(time.time(), event))
        if cut == "before the answer":
            self._break(handler)
            return
        handler.send_response(204)
        handler.end_headers()

    def _break(self, handler: BaseHTTPRequestHandler) -> None:
        self.n_cut += 1
        handler.close_connection = True
        reset(handler.connection)
