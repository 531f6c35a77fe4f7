"""`/metrics`, `/healthz` and `/readyz` over HTTP, by a thread of its own: nothing that fails here stops a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgerd.monitor.metrics import CONTENT_TYPE, metrics_text
from edgerd.monitor.snapshot import LineSnapshot
from edgerd.redaction import without_secrets
from edgerd.web import KnownHosts, Limits, WebThread, listen

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
        url: Where it is, such as `http://127.0.0.1:9108`; None where the address or the port could not be had.
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
        self._thread: WebThread | None = None
        try:
            listener = listen(host, port)
        except OSError as error:  # a line must not stand still for want of a port
            self.loss = (
                f"The monitor cannot listen at {host}, port {port}: {error.strerror or error}. The run goes on without "
                "metrics; give it another port, or 0 for any that is free."
            )
            return
        app = application(snapshot, (host, *host_names))
        self._thread = WebThread(app, listener, name="monitor", limits=Limits(CONNECTIONS, CONNECTION_S))
        self.url = self._thread.url

    def close(self) -> None:
        """Stop serving, within a second; safe to call twice."""
        if self._thread is not None:
            self._thread.close()

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


class _ReadOnly:
    """Lets through nothing but GET, and only requests for an address or a name that is known to be ours."""

    def __init__(self, app: ASGIApp, host_names: Collection[str]) -> None:
        self._app = app
        self._hosts = KnownHosts(host_names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["method"] != "GET":
            return PlainTextResponse("Only GET is answered here.\n", status_code=405, headers={"allow": "GET"})
        if Headers(scope=scope).get("host", "") not in self._hosts:
            return PlainTextResponse(
                "This monitor is not asked for by this name. Use its address, or allow the name.\n", status_code=421
            )
        return None


def _answer(reasons: Sequence[str]) -> Response:
    return JSONResponse(
        {"ok": not reasons, "reasons": [without_secrets(reason) for reason in reasons]},
        status_code=503 if reasons else 200,
        headers={"cache-control": "no-store"},
    )
