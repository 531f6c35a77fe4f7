"""An HTTP camera (motion JPEG) on loopback that goes away and comes back as real ones do."""

from __future__ import annotations

import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Protocol

from rig.pictures import Pool

Outage = Literal["off", "cut", "silent"]


class LosableCamera(Protocol):
    """A camera that can be lost and brought back.

    Attributes:
        uri: For edgerd.
        pool: What it sees, with the scores that the pictures have when they have come through it; and the threshold.
    """

    uri: str
    pool: Pool

    def number_of(self, score: float, captured_at: float) -> int | None:
        """A number of the picture that has this score, modulo the size of the pool its place there; None of none."""
        ...

    def lose(self, outage: Outage) -> None:
        """Go away."""
        ...

    def bring_back(self) -> float:
        """Be there again; connections from before are dead. Returns the Unix time at which it was."""
        ...

    def close(self) -> None:
        """Switch it off for good."""
        ...


class HttpCamera:
    """Sends the pictures of a pool, over and over, at a steady pace; a connection that is slow misses some.

    Pictures are numbered from 0 for the camera's whole life, through all outages: number n shows picture n modulo the
    size of the pool.

    Args:
        pool: What it sees.
        fps: Pictures per second.

    Attributes:
        uri: For edgerd.
        sent: By number, the Unix time at which sending it began; only those that were sent.
        lateness: Unix time, and by how many seconds the camera's clock was late then: what the machine does to it.
    """

    def __init__(self, pool: Pool, fps: float) -> None:
        self.pool = pool
        self.sent: dict[int, float] = {}
        self.lateness: list[tuple[float, float]] = []
        self._period_s = 1 / fps
        self._number = -1
        self._outage: Outage | None = None
        self._tick = threading.Condition()
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._listen()
        self.uri = f"http://127.0.0.1:{self._port}/video.mjpg"
        self._clock = threading.Thread(target=self._run_clock, daemon=True)
        self._clock.start()

    def number_of(self, score: float, captured_at: float) -> int | None:
        """Which picture a verdict speaks of: the last one with this score that was sent before the capture."""
        place = self.pool.place_of(score)
        if place is None:
            return None
        n = len(self.pool.jpegs)
        number = place + (max(self._number, 0) // n) * n
        while number >= 0 and self.sent.get(number, float("inf")) > captured_at:
            number -= n
        return number if number >= 0 else None

    def lose(self, outage: Outage) -> None:
        """Go away: switched off, switched off within a picture, or hanging with its connections open."""
        with self._tick:
            self._outage = outage
            self._tick.notify_all()
        if outage == "cut":
            time.sleep(2 * self._period_s)  # until every connection has sent half a picture
        if outage != "silent":
            self._stop_listening()
            self._reset_connections()

    def bring_back(self) -> float:
        """Be there again; connections from before are dead. Returns the Unix time at which it was."""
        outage, self._outage = self._outage, None
        if outage == "silent":
            self._reset_connections()
        else:
            self._listen()
        return time.time()

    def close(self) -> None:
        """Switch it off for good."""
        self._closed = True
        self._clock.join()
        if self._server is not None:
            self._stop_listening()
        self._reset_connections()

    def _listen(self) -> None:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  connections break on purpose
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _reset_connections(self) -> None:
        for connection in list(self._connections):
            reset(connection)

    def _run_clock(self) -> None:
        due_s = time.monotonic()
        while not self._closed:
            due_s = max(due_s + self._period_s, time.monotonic() - self._period_s)
            time.sleep(max(0.0, due_s - time.monotonic()))
            self.lateness.append((time.time(), time.monotonic() - due_s))
            with self._tick:
                self._number += 1
                self._tick.notify_all()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._connections.add(handler.connection)
        try:
            while self._outage == "silent" and not self._closed:
                time.sleep(0.01)
            handler.wfile.write(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n--frame\r\n"
            )
            last = self._number
            while not self._closed:
                with self._tick:
                    self._tick.wait_for(lambda last=last: self._number > last or self._outage)  # type: ignore[misc]
                    last, outage = self._number, self._outage
                if outage is None:
                    self._send(handler, last)
                    continue
                if outage == "cut":
                    handler.wfile.write(self._part(last)[:-2000])
                while self._outage and not self._closed:
                    time.sleep(0.01)
                return
        except OSError:
            return
        finally:
            self._connections.discard(handler.connection)

    def _send(self, handler: BaseHTTPRequestHandler, number: int) -> None:
        self.sent[number] = time.time()
        handler.wfile.write(self._part(number) + b"\r\n--frame\r\n")

    def _part(self, number: int) -> bytes:
        jpeg = self.pool.jpegs[number % len(self.pool.jpegs)]
        return b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg


def reset(connection: socket.socket) -> None:
    """Break a connection off as a machine does that was switched off and on again."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    except OSError:
        pass
