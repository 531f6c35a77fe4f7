"""Tables of interchangeable parts: a dict literal, name -> "module:attribute", loaded when used."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from edgerd.errors import InputError


def load(table: Mapping[str, str], name: str, kind: str) -> Any:
    """The object a table names.

    Args:
        table: Name to "module:attribute".
        name: What was asked for.
        kind: What the entries are, for the message: "runtime", "teacher", ...

    Raises:
        InputError: There is no such entry; the message offers the nearest name.
    """
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1, cutoff=0.5)
        raise InputError(
            f"There is no {kind} named {name!r}.",
            expected=f"one of {', '.join(table)}",
            hint=f"Did you mean {near[0]!r}?" if near else None,
        )
    module, attribute = table[name].split(":")
    return getattr(import_module(module), attribute)
