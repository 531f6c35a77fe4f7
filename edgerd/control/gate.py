"""Who may command a line over HTTP."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgerd.web import KnownHosts

REFUSAL_S: Final = 1.0
"""How long a wrong token waits for its answer, so that nobody tries many."""
_SCHEME: Final = b"bearer "


class Gate:
    """Lets through programs that may command the line, and no page in a browser.

    With a token, whoever has it may. Without, whoever asks for this machine by an address, by `localhost` or by the
    name that is listened at. A page in a browser could reach a server on its own machine, but tells where it comes from
    in the header `Origin`, and by which name it asks in `Host`.

    Args:
        app: What answers behind it.
        host: Address or name that is listened at.
        token: What requests must carry; None for nothing.
    """

    def __init__(self, app: ASGIApp, host: str, token: SecretStr | None) -> None:
        self._app = app
        self._hosts = KnownHosts([host])
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal is None and not self._has_token(headers):
            await asyncio.sleep(REFUSAL_S)
            refusal = refused("This needs a token.", 401, headers={"www-authenticate": "Bearer"})
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        if method not in ("GET", "POST"):
            return refused("Only GET and POST are answered here.", 405, headers={"allow": "GET, POST"})
        if "origin" in headers:
            return refused("Pages in a browser cannot command a line.", 403)
        if self._token is None and headers.get("host", "") not in self._hosts:
            return refused("This line is not asked for by this name.", 421, expected="its address, or localhost")
        return None

    def _has_token(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        told = next((value for name, value in headers.raw if name == b"authorization"), b"")
        is_bearer = told[: len(_SCHEME)].lower() == _SCHEME
        return hmac.compare_digest(told[len(_SCHEME) :], self._token.get_secret_value().encode()) and is_bearer


def refused(
    what: str,
    status: int,
    *,
    expected: str | None = None,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that says what is wrong: `error`, and `expected` and `next` where there is something to say."""
    keys = {"error": what, "expected": expected, "next": hint}
    return JSONResponse({key: text for key, text in keys.items() if text}, status, headers=headers)
