"""Secrets of a recipe: each comes from an environment variable or a file, and is read when it is used."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from edgerd.errors import InputError
from edgerd.recipe.records import Misfit, RecipeRecord

_MAX_BYTES = 64 * 1024


def read_secret(record: RecipeRecord, key: str) -> str | None:
    """Read a secret that a table of the recipe names.

    Args:
        record: The table; it has the keys `<key>_env` and `<key>_file`.
        key: "password", "token", "secret".

    Returns:
        The secret, without the line end behind it; None where the table names none.

    Raises:
        InputError: The variable is not set, or the file cannot be read, or what they hold is empty. The message names
            the variable or the file, never what it holds.
    """
    variable, file = getattr(record, f"{key}_env"), getattr(record, f"{key}_file")
    if variable is not None:
        return _from_environment(variable, key)
    return None if file is None else _from_file(file, key)


def check_secrets(records: Iterable[RecipeRecord]) -> None:
    """Read every secret that tables name, so that one which is missing shows before it is needed.

    Args:
        records: Tables of a recipe.

    Raises:
        InputError: At least one cannot be read; the message names all of them.
    """
    failures = []
    for record in records:
        for name in type(record).model_fields:
            if name.endswith("_env"):
                try:
                    read_secret(record, name.removesuffix("_env"))
                except InputError as error:
                    failures.append(error)
    if failures:
        whats = dict.fromkeys(error.what for error in failures)
        raise InputError("\n".join(whats), expected=failures[0].expected, hint=failures[0].hint) from failures[0]


def two_sources(record: RecipeRecord, key: str) -> Iterator[Misfit]:
    """What is wrong with a table that names both an environment variable and a file for one secret; else nothing."""
    if getattr(record, f"{key}_env") is not None and getattr(record, f"{key}_file") is not None:
        yield Misfit((f"{key}_file",), f"either {key}_env or {key}_file, not both")


def has_secret(record: RecipeRecord, key: str) -> bool:
    """Whether a table names a variable or a file for a secret."""
    return getattr(record, f"{key}_env") is not None or getattr(record, f"{key}_file") is not None


def with_secret(address: str, key: str, secret: str | None) -> str:
    """Put a secret where an address has its placeholder.

    Args:
        address: A URI with `{<key>}` in it, or without.
        key: "password", "token".
        secret: As it is. In a URI its special characters are percent-encoded; in a `gst://` pipeline it is quoted.
    """
    placeholder = f"{{{key}}}"
    if secret is None or placeholder not in address:
        return address
    scheme, separator, pipeline = address.partition("://")
    if not separator or scheme.lower() != "gst":
        return address.replace(placeholder, quote(secret, safe=""))
    words = [word.replace(placeholder, secret) for word in shlex.split(pipeline)]
    return f"{scheme}://" + " ".join(word if word == "!" else shlex.quote(word) for word in words)


def _from_environment(variable: str, key: str) -> str:
    secret = os.environ.get(variable, "")
    if not secret:
        raise InputError(
            f"The environment variable {variable}, which holds a {key}, is not set.",
            expected=f"the {key} in that variable",
            hint="Set it for the service: Environment or EnvironmentFile in its systemd unit, or export in a shell.",
        )
    return secret


def _from_file(file: Path, key: str) -> str:
    expected = f"a file with the {key} and nothing else"
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES)
        secret = content.decode().rstrip("\r\n")
    except OSError as error:
        raise InputError(
            f"{file}, which holds a {key}, cannot be read: {error.strerror}.",
            expected=expected,
            hint="Check that it is there, and its permissions.",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}, which holds a {key}, is not UTF-8.", expected=expected) from error
    if not secret:
        raise InputError(f"{file}, which holds a {key}, is empty.", expected=expected)
    return secret
