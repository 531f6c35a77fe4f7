"""`/metrics`, `/healthz` and `/readyz` over HTTP, by a thread of its own: nothing that fails here stops a line."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgerd.monitor.metrics import CONTENT_TYPE, metrics_text
from edgerd.monitor.snapshot import LineSnapshot
from edgerd.redaction import without_secrets

_HOST = re.compile(r"(?:\[([0-9a-f]*:[0-9a-f:.]+)\]|([^\s:/?#@\[\]]+))(?::[0-9]+)?")
_CLOSE_S = 1.0
CONNECTIONS: Final = 32
"""At once; one more is closed unheard."""
CONNECTION_S: Final = 5.0
"""How long a connection may take, from its first packet to the end of the answer."""


class Monitor:
    """Serves what a line says of itself, from its making until `close`.

    Args:
        snapshot: Gives the state of the line; called in the monitor's thread, once per request. It must not wait.
        host: Address to listen at.
        port: TCP port; 0 for any that is free.
        host_names: Names, beside addresses and `localhost`, by which clients may ask for it.

    Attributes:
        url: Where it is, such as `http://127.0.0.1:8767`; None where the address or the port could not be had.
        loss: A sentence that says why it is not there; empty where it is.
    """

    def __init__(
        self,
        snapshot: Callable[[], LineSnapshot],
        *,
        host: str,
        port: int,
        host_names: Collection[str] = (),
    ) -> None:
        self.url: str | None = None
        self.loss = ""
        self._thread: threading.Thread | None = None
        try:
            listener = _listener(host, port)
        except OSError as error:  # a line must not stand still for want of a port
            self.loss = (
                f"The monitor cannot listen at {host}, port {port}: {error.strerror or error}. The run goes on without "
                "metrics; give it another port, or 0 for any that is free."
            )
            return
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(snapshot, (host, *host_names)),
                loop="asyncio",
                http=_Impatient,
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
        # A daemon: a snapshot that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="monitor", daemon=True)
        self._thread.start()
        self.url = _url(listener)

    def close(self) -> None:
        """Stop serving, within a second; safe to call twice."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._server.should_exit = True
            thread.join(_CLOSE_S)

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            self._server.run(sockets=[listener])

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def application(snapshot: Callable[[], LineSnapshot], host_names: Collection[str] = ()) -> Starlette:
    """The three pages as an ASGI application.

    Args:
        snapshot: As for `Monitor`.
        host_names: As for `Monitor`.
    """

    async def metrics(request: Request) -> Response:
        del request
        return Response(metrics_text(snapshot()), media_type=CONTENT_TYPE)

    async def healthz(request: Request) -> Response:
        del request
        return _answer(snapshot().unhealthy(time.monotonic()))

    async def readyz(request: Request) -> Response:
        del request
        return _answer(snapshot().not_ready())

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
        middleware=[Middleware(_ReadOnly, host_names=host_names)],
    )


class _Impatient(H11Protocol):
    """One request per connection, few connections, none for long.

    Clients that connect and say nothing, or do not read, would otherwise take one file descriptor after the other until
    the line itself has none left for its files and cameras.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(CONNECTION_S, transport.abort)


class _ReadOnly:
    """Lets through nothing but GET, and only requests for an address or a name that is known to be ours.

    A page in a browser could otherwise read the monitor by DNS rebinding: a name of the attacker's that suddenly leads
    to this machine. Such a request has that name in its `Host` header, never an address.
    """

    def __init__(self, app: ASGIApp, host_names: Collection[str]) -> None:
        self._app = app
        self._host_names = {"localhost", *(name.lower() for name in host_names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["method"] != "GET":
            return PlainTextResponse("Only GET is answered here.\n", status_code=405, headers={"allow": "GET"})
        host = _host(Headers(scope=scope).get("host", ""))
        if host not in self._host_names and not _is_address(host):
            return PlainTextResponse(
                "This monitor is not asked for by this name. Use its address, or allow the name.\n", status_code=421
            )
        return None


def _host(header: str) -> str:
    """The name or address in a `Host` header, without its port; empty where it is no such header."""
    found = _HOST.fullmatch(header.strip().lower())
    return found[1] or found[2] if found else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _answer(reasons: Sequence[str]) -> Response:
    return JSONResponse(
        {"ok": not reasons, "reasons": [without_secrets(reason) for reason in reasons]},
        status_code=503 if reasons else 200,
        headers={"cache-control": "no-store"},
    )


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket, so that what is wrong with it is known before anything runs.

    Raises:
        OSError: The address is not one of this machine, or the port is taken or not allowed.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    return socket.create_server((host, port), family=family)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
