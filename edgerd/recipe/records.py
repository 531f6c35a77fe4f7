"""What the records of a recipe are made of: the strict base, and the kinds of values that many keys share."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from edgerd.redaction import HIDDEN, without_secrets

FOLDER: Final = "folder"
"""Validation context: the folder that relative paths begin at, a `pathlib.Path`; where it is absent, they stay as they
are."""
LIVE: Final[dict[str, Any]] = {"takes_effect": "at once"}
"""`json_schema_extra` of the keys whose changes a line takes over while it runs; all others need a restart."""

MAX_TEXT: Final = 4096
"""Characters of the longest text that a key may have."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ENVIRONMENT_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something in a table that does not go with something else.

    Attributes:
        key: Where it is: keys below the table that is validated; empty for the table itself.
        expected: What was expected instead.
    """

    key: tuple[str | int, ...]
    expected: str


class MisfitError(ValueError):
    """A table in which something does not go with something else.

    Args:
        misfits: At least one.
    """

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__("; ".join(misfit.expected for misfit in misfits))
        self.misfits = tuple(misfits)


def refuse(misfits: Iterable[Misfit]) -> None:
    """Refuse a table in which something does not go with something else.

    Raises:
        MisfitError: There is at least one misfit; all of them are in it.
    """
    found = tuple(misfits)
    if found:
        raise MisfitError(found)


class RecipeRecord(BaseModel):
    """A frozen table of a recipe: unknown keys, wrong types, NaN and infinity are errors; nothing is converted."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        strict=True,
        validate_default=True,
    )
    opened_once: ClassVar[bool] = False
    """Whether a change of such a table needs a restart, although its kind of table takes effect at once: a line opens
    what it describes when it starts, and keeps it open."""


def _named(text: str) -> str:
    if not _NAME.fullmatch(text) or set(text) == {"."}:
        raise ValueError("1 to 64 letters, digits, '_', '.' and '-'")
    return text


def _of_environment(text: str) -> str:
    if not _ENVIRONMENT_VARIABLE.fullmatch(text):
        raise ValueError("the name of an environment variable, not the secret itself: letters, digits and '_'")
    return text


def _printable(text: str) -> str:
    if not 1 <= len(text) <= MAX_TEXT or _CONTROL_CHARACTER.search(text):
        raise ValueError(f"text of 1 to {MAX_TEXT} characters, none of them a control character")
    return text


def _absolute(value: object, info: ValidationInfo) -> object:
    """Let a relative path begin at the recipe's folder; what is no path is left for pydantic to refuse."""
    if not isinstance(value, (str, Path)):
        return value
    folder = (info.context or {}).get(FOLDER, Path())
    return Path(os.path.normpath(folder / _printable(str(value))))


def _listening(text: str) -> str:
    host_and_port(text)
    return text


def host_and_port(address: str) -> tuple[str, int]:
    """Split an address as recipes write them.

    Args:
        address: "127.0.0.1:9108", "[::1]:9108", "plc.example:502".

    Returns:
        The host, without the brackets of an IPv6 address, and the port.

    Raises:
        ValueError: It is written otherwise, or the port is not one of 1 to 65535.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or not 1 <= int(found["port"]) <= 65535:
        raise ValueError('an address with a port, such as "127.0.0.1:9108"')
    return found["host"].strip("[]"), int(found["port"])


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine can reach an address of the form host:port."""
    host, _ = host_and_port(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refuse_secrets(address: str, key: str) -> str:
    """Refuse an address that holds a password or token in plain text.

    Args:
        address: A camera's URI, or a URL.
        key: The name that stands in braces where the secret belongs: "password", "token".

    Raises:
        ValueError: It holds one.
    """
    marked = address.replace(f"{{{key}}}", HIDDEN)
    if without_secrets(marked) != marked:
        raise ValueError(
            f"an address without secrets: write {{{key}}} where the secret belongs, and give it by "
            f'{key}_env = "NAME_OF_A_VARIABLE" or {key}_file = "FILE"'
        )
    return address


Name = Annotated[str, AfterValidator(_named)]
"""How cameras, products and sinks are named in files, topics and metrics."""
Text = Annotated[str, AfterValidator(_printable)]
"""Not empty, on one line."""
EnvironmentVariable = Annotated[str, AfterValidator(_of_environment)]
RecipePath = Annotated[Path, BeforeValidator(_absolute)]
"""A path that is absolute after validation; relative ones begin at the recipe's folder."""
Address = Annotated[str, AfterValidator(_listening)]
"""host:port."""
