"""Events to a web hook: one POST each, signed, delivered when the server answers with 2xx.

Signature and headers are those of Standard Webhooks (https://www.standardwebhooks.com), for which receivers have
libraries in most languages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from edgerd import __version__
from edgerd.errors import DeliveryError, InputError, MissingDependencyError
from edgerd.redaction import without_secrets
from edgerd.sinks.tls import client_context

if TYPE_CHECKING:
    import httpx

_CONNECT_S, _ANSWER_S = 5.0, 10.0
_LARGEST_EVENT_BYTES: Final = 1 << 20
_LARGEST_ANSWER_BYTES: Final = 1 << 14
"""More than that of an answer is not read; nobody needs it."""
_SHOWN_CHARACTERS: Final = 200
_MAX_REDIRECTS: Final = 3
_BASE64_MARK: Final = "whsec_"
_TRY_AGAIN: Final = {408, 429}
"""The answers 4xx that say "later"; all others 4xx say that the event, or its sender, is wrong."""


class WebhookSink:
    """Posts each event as JSON to an address.

    Headers of each request: `webhook-id`, the event's `id` and `state` joined by a hyphen, the same for every try
    (`idempotency-key` has it too); `webhook-timestamp`, Unix seconds of this try; and, with a secret,
    `webhook-signature`, `v1,` and the Base64 of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`.

    Answers: 2xx is delivered. 408, 429, 5xx and broken connections are tried again, after what `Retry-After` asks
    for. Any other 4xx is a refusal. A redirect (307, 308) is followed to the same scheme, host and port only; others
    count as failures, since events must not go to a host that nobody named. Proxies are those of the environment.

    Args:
        url: `https://...`, or `http://...` where nobody can listen. May hold secrets; they are never shown, nor is its
            path.
        name: What the outbox calls it; by default "webhook" and the host.
        secret: Key of the signature: text, or `whsec_` and its Base64 as Standard Webhooks writes it. None for no
            signature.
        ca_file: Certificates (PEM) to trust instead of the system's, for a server with one of its own.

    Raises:
        InputError: The address, the secret or the file cannot be used.
        MissingDependencyError: httpx is not installed.
    """

    def __init__(
        self, url: str, *, name: str = "", secret: SecretStr | None = None, ca_file: Path | None = None
    ) -> None:
        httpx = _import()
        self._url = _parsed(httpx, url)
        self._host = f"{self._url.scheme}://{self._url.netloc.decode()}"
        self.name = name or f"webhook {self._host}"
        self._key = None if secret is None else _key(secret.get_secret_value())
        # At its level INFO httpx logs whole addresses, and an address may hold a token.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = httpx.Client(
            verify=client_context(ca_file),
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            headers={
                "content-type": "application/json",
                "user-agent": f"edgerd/{__version__}",
                "accept-encoding": "identity",
            },
        )

    def deliver(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Post events one after another; returns when the server has taken all of them.

        Args:
            batch: JSON forms of events.

        Raises:
            DeliveryError: The server could not be reached, or did not answer with 2xx.
        """
        n_delivered = 0
        try:
            for event in batch:
                self._post(event)
                n_delivered += 1
        except DeliveryError as error:
            error.n_delivered = n_delivered
            raise

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._client.close()

    def _post(self, event: Mapping[str, Any]) -> None:
        body = json.dumps(event, allow_nan=False).encode()
        if len(body) > _LARGEST_EVENT_BYTES:
            raise DeliveryError(
                f"The event {event['id']} has {len(body)} bytes.",
                retryable=False,
                expected=f"at most {_LARGEST_EVENT_BYTES} bytes",
            )
        headers = self._headers(event, body)
        httpx = _import()
        url = self._url
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                with self._client.stream("POST", url, content=body, headers=headers) as response:
                    shown = _shown_body(response)
                    target = self._target(response)
                if target is None:
                    self._check(response, shown)
                    return
                url = target
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        raise DeliveryError(f"{self._host} redirects in a circle.", retryable=True)

    def _headers(self, event: Mapping[str, Any], body: bytes) -> dict[str, str]:
        # The raise and the clear of an alert have one id, and are two messages.
        message_id = "-".join(str(event[key]) for key in ("id", "state") if key in event)
        timestamp = str(int(time.time()))
        headers = {"webhook-id": message_id, "idempotency-key": message_id, "webhook-timestamp": timestamp}
        if self._key is not None:
            signed = f"{message_id}.{timestamp}.".encode() + body
            signature = hmac.new(self._key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(signature).decode()}"
        return headers

    def _target(self, response: httpx.Response) -> httpx.URL | None:
        """Where a redirect leads that may be followed; None for any other answer.

        Raises:
            DeliveryError: It is a redirect that may not.
        """
        if not 300 <= response.status_code < 400:
            return None
        location = response.headers.get("location", "")
        target = response.request.url.join(location)
        same = (target.scheme, target.host, target.port) == (self._url.scheme, self._url.host, self._url.port)
        if response.status_code in (307, 308) and location and same:
            return target
        raise DeliveryError(
            f"{self._host} answered {response.status_code}, a redirect to {target.scheme}://{target.host}.",
            retryable=True,
            expected="an answer 2xx; only 307 and 308 are followed, and only on the same scheme, host and port",
            hint="Name the address that it leads to, if events may go there.",
        )

    def _check(self, response: httpx.Response, shown: str) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        answer = f"{self._host} answered {status} {response.reason_phrase}".rstrip()
        raise DeliveryError(
            f"{answer}: {shown}" if shown else f"{answer}.",
            retryable=status in _TRY_AGAIN or not 400 <= status < 500,
            retry_after_s=_retry_after_s(response.headers.get("retry-after", "")),
            expected="an answer 2xx",
        )

    def _unreachable(self, error: Exception) -> DeliveryError:
        reason = without_secrets(str(error)) or type(error).__name__
        is_distrusted = "CERTIFICATE_VERIFY_FAILED" in reason
        return DeliveryError(
            f"{self._host} could not be reached: {reason}.",
            retryable=True,
            expected="a server with a certificate that this machine trusts" if is_distrusted else "an answer 2xx",
            hint="Name its certificate, or that of its authority, as the CA file." if is_distrusted else None,
        )


def _import() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise MissingDependencyError(
            "Web hooks need httpx, which is not installed.", hint='pip install "edgerd[webhook]"'
        ) from error
    return httpx


def _parsed(library: Any, url: str) -> httpx.URL:
    try:
        parsed: httpx.URL = library.URL(url)
    except library.InvalidURL as error:
        raise InputError("The address of the web hook cannot be read.", expected="https://host/path") from error
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise InputError(
            f"The address of a web hook has the scheme {parsed.scheme!r} and the host {parsed.host!r}.",
            expected="https://host/path",
        )
    return parsed


def _key(secret: str) -> bytes:
    if not secret.startswith(_BASE64_MARK):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_BASE64_MARK), validate=True)
    except binascii.Error as error:
        raise InputError(
            f"The secret of the web hook begins with {_BASE64_MARK}, but no Base64 follows.",
            expected=f"{_BASE64_MARK} and the key in Base64, or any other text",
        ) from error


def _shown_body(response: httpx.Response) -> str:
    """The beginning of an answer as one line; reading it to its end lets the connection be used again."""
    content = b""
    deadline = time.monotonic() + _ANSWER_S
    for chunk in _chunks(response):
        content += chunk
        if len(content) > _LARGEST_ANSWER_BYTES or time.monotonic() > deadline:
            break
    return without_secrets(" ".join(content.decode(errors="replace").split())[:_SHOWN_CHARACTERS])


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """The body; an answer 2xx holds whatever becomes of the rest."""
    httpx = _import()
    try:
        yield from response.iter_raw()
    except httpx.TransportError:
        if not response.is_success:
            raise


def _retry_after_s(value: str) -> float | None:
    """Seconds of a Retry-After header, which has a number or a date; None for neither."""
    try:
        seconds = float(value) if value.strip().isdecimal() else _seconds_until(parsedate_to_datetime(value))
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware.timestamp() - time.time()
