"""What a command says, read from the bytes of a message: nothing else in it is used."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from edgerd.errors import InputError
from edgerd.tables import did_you_mean

MAX_BODY_BYTES: Final = 4096
MAX_ID_CHARACTERS: Final = 64
_MAX_SHOWN: Final = 64
_EXPECTED: Final = {
    "product": "the name of a product as text, or its number",
    "id": f"1 to {MAX_ID_CHARACTERS} printable characters as text",
}


def _printable(text: str) -> str:
    if not (1 <= len(text) <= MAX_ID_CHARACTERS and text.isprintable()):
        raise ValueError("not an id")
    return text


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TriggerRequest(_Request):
    """The part that stands before a camera is to be inspected."""

    product: str | int | None = None
    """What the part is: name or number of a product. Without it, the camera's product of now."""
    id: Annotated[str, AfterValidator(_printable)] | None = None
    """The sender's own name for the part. The same one again is the same part again."""


class ProductRequest(_Request):
    """A camera is to inspect another product from now on."""

    product: str | int
    """Name or number of the product."""


_R = TypeVar("_R", bound=_Request)


def read_request(kind: type[_R], body: bytes) -> _R:
    """Read the JSON object of a message.

    Args:
        kind: What it is to be.
        body: UTF-8; nothing but white space is an object without keys.

    Raises:
        InputError: It is too large, no JSON, no object, or has other keys or values than those of `kind`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InputError("The message is too large.", expected=f"at most {MAX_BODY_BYTES} bytes")
    try:
        return kind.model_validate_json(body.strip() or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    keys = ", ".join(kind.model_fields)
    key = str(first["loc"][0]) if first["loc"] else ""
    if not key:
        raise InputError(f"The message cannot be read: {first['msg']}.", expected=f"a JSON object with {keys}")
    if first["type"] == "extra_forbidden":
        raise InputError(
            f"There is no key {shown(key)} in this message.",
            expected=f"a JSON object with {keys}",
            hint=did_you_mean(key, kind.model_fields),
        )
    what = f"The key {key} is missing." if first["type"] == "missing" else f"The value of {key} cannot be used."
    raise InputError(what, expected=_EXPECTED[key])


def shown(value: object) -> str:
    """What a message named, as an error may repeat it: printable, and not long."""
    text = str(value)
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")
