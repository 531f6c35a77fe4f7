"""What may be shown and stored of an address: everything but the secrets in it.

Cameras come with passwords in many places: `user:password@` before the host, a parameter of the query string or of the
path, a property of a GStreamer element. Errors, progress, verdict and event lines, summaries and bundle records show an
address only after it went through `without_secrets`. In doubt it hides too much.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

HIDDEN: Final = "***"
"""Stands where a secret was."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_HOST_AND_PORT = re.compile(r"(?:[\w\-]*\.[\w.\-]*|localhost|\[[0-9A-Fa-f:.%]+\]):\d+")
_PARAMETER = re.compile(r"(?P<name>[A-Za-z][\w.\-]*)\s*(?:=|%3[dD])\s*(?:\(\w+\)\s*)?")
"""A name and what joins it to its value; GStreamer allows blanks and a type: `user-pw = (string)...`."""
_NEXT_PARAMETER = re.compile(r"(?:&|%26)[A-Za-z][\w.\-]*=")
_SECRET_WORD = re.compile(
    r"pass(?!through)\w*|\w*(?:pass|passwd|password|pwd|secret|token|key|loginpas|loginuse)|pw|psw|psk|pin|jwt|sid"
    r"|session(?:id)?|sig|signature|auth|authorization|credentials?"
)
_SECRET_NAMES = frozenset({"user-id", "user_id", "userid"})


def without_secrets(text: str) -> str:
    """An address, or a sentence that quotes one, as it may be shown.

    `rtsp://admin:secret@10.0.0.3/live` becomes `rtsp://admin:***@10.0.0.3/live`, `?password=secret` becomes
    `?password=***`. Of a `gst://` pipeline each property is treated by itself.

    Args:
        text: The URI of a camera, a pipeline, or what a library says about them.
    """
    scheme, separator, pipeline = text.partition("://")
    if separator and scheme.lower() == "gst":
        return f"{scheme}{separator}{pipeline_without_secrets(pipeline)}"
    return _without_parameters(_without_user_information(text))


def pipeline_without_secrets(pipeline: str) -> str:
    """A GStreamer pipeline as it may be shown, still one that a shell takes."""
    try:
        words = shlex.split(pipeline)
    except ValueError:  # a quotation mark that is not closed
        return without_secrets(pipeline)
    properties: list[str] = []
    for word in words:
        # GStreamer takes `user-pw = secret` as well, which are three words.
        if properties and (word.startswith("=") or properties[-1].endswith("=")):
            properties[-1] += word
        else:
            properties.append(word)
    shown = [without_secrets(word) for word in properties]
    if shown == properties:
        return pipeline
    return " ".join(word if word == "!" else shlex.quote(word) for word in shown)


def _without_user_information(text: str) -> str:
    """Hide what stands before the host; from the last address to the first, one may be a parameter of another."""
    for match in reversed(list(_SCHEME.finditer(text))):
        text = text[: match.end()] + _hide_before_host(text[match.end() :])
    if "://" not in text and re.match(r"[^\s/:@=]+:[^@]*@", text):  # a scheme that was forgotten
        return _hide_before_host(text)
    return text


def _hide_before_host(rest: str) -> str:
    """Hide the password of `user:password@host/path`, or the whole of `token@host`.

    A password should have its `/`, `?`, `#` and `@` written as `%2F` and so on. Where it has not, it reaches to the
    last `@`, unless an address of host and port has ended before.
    """
    before, at, host = rest.rpartition("@")
    if not at:
        return rest
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and (":" not in authority or _HOST_AND_PORT.fullmatch(authority)):
        return rest
    user, colon, _ = before.partition(":")
    return f"{user}:{HIDDEN}@{host}" if colon else f"{HIDDEN}@{host}"


def _without_parameters(text: str) -> str:
    """Hide the values of parameters whose names say that they are secret, each up to the next parameter."""
    shown, position = "", 0
    while match := _PARAMETER.search(text, position):
        shown += text[position : match.end()]
        position = match.end()
        if not _is_secret(match["name"]):
            continue
        following = _NEXT_PARAMETER.search(text, position)
        end = following.start() if following else len(text)
        shown += HIDDEN if end > position else ""
        position = end
    return shown + text[position:]


def _is_secret(name: str) -> bool:
    name = name.lower()
    return name in _SECRET_NAMES or any(_SECRET_WORD.fullmatch(word) for word in re.split(r"[_.\-]", name))
