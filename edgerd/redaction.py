"""What may be shown and stored of an address: everything but the secrets in it.

Cameras come with passwords in many places: `user:password@` before the host, a parameter of the query string or of the
path, a property of a GStreamer element. Errors, progress, verdict and event lines, summaries and bundle records show an
address only after it went through `without_secrets`. In doubt it hides too much.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final

HIDDEN: Final = "***"
"""Stands where a secret was."""

# Names are looked for up to a length: what is searched may be long, and time would grow with its square.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,50}://")
_HOST_AND_PORT = re.compile(r"(?:[\w\-]*\.[\w.\-]*|localhost|\[[0-9A-Fa-f:.%]+\]):\d+")
_PARAMETER = re.compile(r"(?P<name>[A-Za-z][\w.\-]{0,200})\s*(?:=|%3[dD])\s*(?:\(\w+\)\s*)?")
"""A name and what joins it to its value; GStreamer allows blanks and a type: `user-pw = (string)...`."""
_NEXT_PARAMETER = re.compile(r"(?:&|%26)[A-Za-z][\w.\-]{0,200}=")
_LONGEST_NAME = 200
_SECRET_WORD = re.compile(
    r"pass(?!through)\w*|(?!by)\w*pass|\w*(?:passwd|password|pwd|secret|token)|loginpas|loginuse|pw|psw|psk|pin|jwt|sid"
    r"|session(?:id)?|sig|signature|auth|authorization|credentials?"
)
_SECRET_NAME = re.compile(r"user[_\-]?id|(?:.*[_.\-])?\w*key")


def without_secrets(text: str) -> str:
    """An address, or a sentence that quotes one, as it may be shown.

    `rtsp://admin:secret@10.0.0.3/live` becomes `rtsp://admin:***@10.0.0.3/live`, `?password=secret` becomes
    `?password=***`. In a `gst://` pipeline each property is treated by itself.

    Args:
        text: The URI of a camera, a pipeline, or what a library says about them.
    """
    scheme, separator, pipeline = text.partition("://")
    if separator and scheme.lower() == "gst":
        return f"{scheme}{separator}{pipeline_without_secrets(pipeline)}"
    # Both are looked for in the text as it is: what one of them hides may hold the mark that the other goes by.
    return _hide(text, [*_before_hosts(text), *_parameter_values(text)])


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


def _hide(text: str, places: list[tuple[int, int]]) -> str:
    """Put `***` in the places, each its begin and end; one for those that overlap."""
    shown, position = "", 0
    for begin, end in sorted(places):
        if begin >= position:
            shown += text[position:begin] + HIDDEN
        position = max(position, end)
    return shown + text[position:]


def _before_hosts(text: str) -> Iterator[tuple[int, int]]:
    """Where the passwords of `user:password@host` are; one address may be a parameter of another."""
    for match in _SCHEME.finditer(text):
        yield from _before_host(text, match.end())
    if "://" not in text and re.match(r"[^\s/:@=]+:[^@]*@", text):  # a scheme that was forgotten
        yield from _before_host(text, 0)


def _before_host(text: str, begin: int) -> Iterator[tuple[int, int]]:
    """Where the password of `user:password@host/path` is, or the whole of `token@host`.

    A password should have its `/`, `?`, `#` and `@` written as `%2F` and so on. Where it has not, it reaches to the
    last `@`, unless an address of host and port has ended before.
    """
    end = text.rfind("@", begin)
    if end < 0:
        return
    authority = re.split(r"[/?#]", text[begin:], maxsplit=1)[0]
    if "@" not in authority and (":" not in authority or _HOST_AND_PORT.fullmatch(authority)):
        return
    colon = text.find(":", begin, end)
    yield (begin if colon < 0 else colon + 1), end


def _parameter_values(text: str) -> Iterator[tuple[int, int]]:
    """Where the values of parameters are whose names say that they are secret, each up to the next parameter."""
    position = 0
    while match := _PARAMETER.search(text, position):
        position = match.end()
        if is_secret_name(match["name"]):
            following = _NEXT_PARAMETER.search(text, position)
            end = following.start() if following else len(text)
            if end > position:
                yield position, end
            position = end


def is_secret_name(name: str) -> bool:
    """Whether the value of a parameter or key of this name is taken for a secret."""
    name = name[-_LONGEST_NAME:]
    words = re.split(r"[_.\-]", name.lower())
    return bool(_SECRET_NAME.fullmatch(name.lower())) or any(_SECRET_WORD.fullmatch(word) for word in words)
