"""HTTP served by a thread of its own, for whoever watches or controls a line: few connections, and none for long."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_HOST = re.compile(r"(?:\[([0-9a-f]*:[0-9a-f:.]+)\]|([^\s:/?#@\[\]]+))(?::[0-9]+)?")
_CLOSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take.

    Attributes:
        connections: How many there may be at once; one more is closed unheard.
        request_s: How long a connection may take, from its first packet until its request is complete.
        answer_s: How long the answer may take from then on; with 0, it must be there within `request_s`, too.
    """

    connections: int
    request_s: float
    answer_s: float = 0.0


class WebThread:
    """Serves an application from its making until `close`.

    Args:
        app: What answers.
        listener: As `listen` makes it; closed at the end.
        name: Of the thread.
        limits: What clients may take.

    Attributes:
        url: Where it is, such as `http://127.0.0.1:9108`.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, *, name: str, limits: Limits) -> None:
        self.url = _url(listener)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=_impatient(limits),
                ws="none",
                lifespan="off",
                log_config=None,  # logging belongs to whoever embeds this
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("connection", "close")],
                timeout_graceful_shutdown=1,
            )
        )
        # A daemon: an application that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, args=(listener,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, within a second; safe to call twice."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_S)

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            self._server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that what is wrong with it is known before anything runs.

    Args:
        host: An address of this machine, or its name.
        port: TCP port; 0 for any that is free.

    Raises:
        OSError: The address is not one of this machine, or the port is taken or not allowed.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    return socket.create_server((host, port), family=family)


class KnownHosts:
    """Tells by its `Host` header whether a request is for an address, or for a name that is known to be ours.

    A page in a browser could otherwise ask by DNS rebinding: a name of the attacker's that suddenly leads to this
    machine. Such a request has that name in its `Host` header, never an address.

    Args:
        names: Names beside addresses and `localhost`.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}

    def __contains__(self, header: str) -> bool:
        host = host_of(header)
        return host in self._names or _is_address(host)


def host_of(header: str) -> str:
    """The name or address in a `Host` header, in small letters, without its port; empty where it is no such header."""
    found = _HOST.fullmatch(header.strip().lower())
    return found[1] or found[2] if found else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _impatient(limits: Limits) -> type[H11Protocol]:
    """The protocol of connections that are for one request, few, and none for long.

    Clients that connect and say nothing, or do not read, would otherwise take one file descriptor after the other until
    the line itself has none left for its files and cameras.
    """

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Begin, or refuse."""
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.abort()
            else:
                self.loop.call_later(limits.request_s, self._request_is_due)

        def _request_is_due(self) -> None:
            if limits.answer_s and self.cycle is not None and not self.cycle.more_body:
                self.loop.call_later(limits.answer_s, self.transport.abort)
            else:
                self.transport.abort()

    return Impatient


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
