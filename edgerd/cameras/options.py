"""Options of a camera in its URI: what stands behind the `?`."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from edgerd.errors import InputError
from edgerd.redaction import without_secrets
from edgerd.tables import did_you_mean

Options = TypeVar("Options", bound=BaseModel)


def address_in(uri: str) -> str:
    """What stands between `://` and the `?`, without slashes around it."""
    return uri.partition("://")[2].partition("?")[0].strip("/")


def options_in(uri: str, model: type[Options], example: str) -> Options:
    """The options in a URI, checked.

    Args:
        uri: `ADDRESS?OPTION=VALUE&...`, or without options.
        model: Has a field per option; forbids others.
        example: A URI with options, for the error.

    Raises:
        InputError: There is no such option, or it cannot have this value.
    """
    try:
        return model.model_validate(dict(parse_qsl(uri.partition("?")[2], keep_blank_values=True)))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        is_unknown = first["type"] == "extra_forbidden"
        why = f"there is no option {name!r}" if is_unknown else f"{name}: {first['msg']}"
        nearest = did_you_mean(name, model.model_fields) if is_unknown else None
        raise InputError(
            f"{without_secrets(uri)} cannot be used: {why.removesuffix('.')}.",
            expected=f"options of {', '.join(model.model_fields)}",
            hint=nearest or f"For example: '{example}'",
        ) from error
