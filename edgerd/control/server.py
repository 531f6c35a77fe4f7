"""Triggers and product change-overs over HTTP, by a thread of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgerd.control.commands import Commands, ConflictError, UnknownCameraError
from edgerd.control.gate import Gate, refused
from edgerd.control.parts import Answer, Part
from edgerd.control.requests import MAX_BODY_BYTES, shown
from edgerd.errors import CameraError, EdgerdError, InputError
from edgerd.sinks.hosts import check_can_listen, is_loopback
from edgerd.tables import did_you_mean
from edgerd.web import Limits, WebThread, listen

CONNECTIONS: Final = 128
"""At once; one more is closed unheard."""
REQUEST_S: Final = 5.0
"""How long a request may take to arrive."""
MAX_WAIT_MS: Final = 60_000
"""How long a request may wait for its verdict."""
_ANSWER_S: Final = MAX_WAIT_MS / 1000 + 5


class ControlServer:
    """Takes commands over HTTP from its making until `close`.

    Args:
        commands: What takes them.
        host: Address to listen at.
        port: TCP port; 0 for any that is free.
        token: What requests must carry as `Authorization: Bearer TOKEN`. Beyond this machine there must be one.

    Attributes:
        url: Where it is, such as `http://127.0.0.1:9109`.

    Raises:
        InputError: There is no token, and the address can be reached from other machines; or the token is empty.
        EdgerdError: The address or the port cannot be had.
    """

    def __init__(self, commands: Commands, *, host: str, port: int, token: SecretStr | None = None) -> None:
        if token is None and not is_loopback(host):
            raise InputError(
                f"The control at {host} can be reached from other machines, and everybody could trigger.",
                expected="a token, or an address of this machine alone, such as 127.0.0.1",
                hint='token_env = "NAME_OF_A_VARIABLE" or token_file = "FILE" in the table [control]',
            )
        if token is not None and not token.get_secret_value():
            raise InputError("The token of the control is empty.", expected="a long random text")
        check_can_listen(host, port)
        self._waiting = _Waiting()
        self._thread = WebThread(
            _application(commands, self._waiting, host, token),
            listen(host, port),
            name="control",
            limits=Limits(CONNECTIONS, REQUEST_S, _ANSWER_S),
        )
        self.url = self._thread.url

    def close(self) -> None:
        """Stop serving, within a second; safe to call twice. Requests that wait for a verdict get a receipt."""
        self._waiting.end()
        self._thread.close()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _application(commands: Commands, waiting: _Waiting, host: str, token: SecretStr | None) -> Starlette:
    async def cameras(request: Request) -> Response:
        _check_query(request)
        return JSONResponse(commands.cameras())

    async def trigger(request: Request) -> Response:
        wait_s = _wait_s(request)
        part = commands.trigger(request.path_params["camera"], await _body(request), "http")
        answer = await waiting.verdict(part, wait_s)
        return JSONResponse(_receipt(part), 202) if answer is None else JSONResponse(answer)

    async def product(request: Request) -> Response:
        _check_query(request)
        client = request.client.host if request.client else "an unknown address"
        body = await _body(request)
        return JSONResponse(commands.change_product(request.path_params["camera"], body, f"HTTP from {client}"))

    app = Starlette(
        routes=[
            Route("/cameras", cameras),
            Route("/cameras/{camera}/trigger", trigger, methods=["POST"]),
            Route("/cameras/{camera}/product", product, methods=["POST"]),
        ],
        middleware=[Middleware(Gate, host=host, token=token)],
        exception_handlers={EdgerdError: _on_error, HTTPException: _on_http_error, Exception: _on_bug},
    )
    app.router.redirect_slashes = False
    return app


def _receipt(part: Part) -> dict[str, Any]:
    return {"camera": part.trigger.camera, "trigger": part.trigger.id, "id": part.id}


class _Waiting:
    """The requests that wait for a verdict."""

    def __init__(self) -> None:
        self._wakers: set[Callable[[Answer | None], None]] = set()

    async def verdict(self, part: Part, seconds: float) -> Answer | None:
        """Wait for a part's verdict; None where it does not come in time, or the server ends."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer | None] = loop.create_future()

        def wake(answer: Answer | None) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_settle, future, answer)

        self._wakers.add(wake)
        part.when_judged(wake)
        try:
            # Also with 0 seconds this lets the loop turn once: an answer that is known already is found.
            await asyncio.wait([future], timeout=seconds)
        finally:
            part.forget(wake)
            self._wakers.discard(wake)
        return future.result() if future.done() else None

    def end(self) -> None:
        """Let nobody wait any more; from any thread."""
        for wake in tuple(self._wakers):
            wake(None)


def _settle(future: asyncio.Future[Answer | None], answer: Answer | None) -> None:
    if not future.done():
        future.set_result(answer)


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"The message is too large: more than {MAX_BODY_BYTES} bytes.")
    except ClientDisconnect:
        raise HTTPException(400, "The message was cut off.") from None
    return body


def _wait_s(request: Request) -> float:
    _check_query(request, "wait_ms")
    text = request.query_params.get("wait_ms", "0")
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > MAX_WAIT_MS:
        raise InputError(
            f"A verdict cannot be waited for during wait_ms={shown(text)}.", expected=f"0 to {MAX_WAIT_MS} milliseconds"
        )
    return int(text) / 1000


def _check_query(request: Request, *known: str) -> None:
    """Refuse a parameter that has no effect: it may be one that was misspelt."""
    for name in request.query_params:
        if name not in known:
            raise InputError(
                f"There is no parameter {shown(name)} here.",
                expected=f"{' or '.join(known) or 'no parameter'} behind the question mark",
                hint=did_you_mean(name[:64], known),
            )


async def _on_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, EdgerdError)  # noqa: S101
    statuses = ((UnknownCameraError, 404), (ConflictError, 409), (InputError, 400), (CameraError, 503))
    status = next((status for kind, status in statuses if isinstance(error, kind)), 500)
    return refused(error.what, status, expected=error.expected, hint=error.hint)


async def _on_http_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)  # noqa: S101
    expected = None
    if error.status_code == 404:
        expected = "GET /cameras, POST /cameras/NAME/trigger or POST /cameras/NAME/product"
    return refused(f"{error.detail.rstrip('.')}.", error.status_code, expected=expected, headers=error.headers)


async def _on_bug(request: Request, error: Exception) -> Response:
    del request, error
    return refused("This failed inside edgerd; its log says more.", 500)
