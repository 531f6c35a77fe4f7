"""Tables of interchangeable parts: a dict from a name to "module:attribute", which is imported when it is used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from edgerd.errors import InputError


def load(table: Mapping[str, str], name: str, kind: str) -> Any:
    """Import the object that a table names.

    Args:
        table: Name to "module:attribute".
        name: The entry to load.
        kind: What the entries are, for the error message: "runtime", "teacher", ...

    Raises:
        InputError: There is no such entry; the message offers the nearest name.
    """
    if name not in table:
        raise InputError(
            f"There is no {kind} named {name!r}.",
            expected=f"one of {', '.join(table)}",
            hint=did_you_mean(name, table),
        )
    module, attribute = table[name].split(":")
    return getattr(import_module(module), attribute)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the name that is nearest to what was asked for; None where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else None
