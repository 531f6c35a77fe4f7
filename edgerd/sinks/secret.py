"""Secrets come from the environment or from a file, never from a recipe or a command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from edgerd.errors import InputError
from edgerd.redaction import without_secrets

_FROM_ENVIRONMENT: Final = "env:"
_FROM_FILE: Final = "file:"
_WHERE: Final = "env:NAME for an environment variable, or file:PATH for a file whose content is the secret"


def read_secret(reference: str, what: str) -> SecretStr:
    """Fetch a secret; its value shows in no text of this object, only in `get_secret_value()`.

    Args:
        reference: `env:NAME` or `file:PATH`; the line break at the end of a file does not count.
        what: What it is for, for messages: "the password of the MQTT broker".

    Raises:
        InputError: It is not there or empty; or the reference is neither. It may then be the secret itself, and is not
            shown.
    """
    if reference.startswith(_FROM_ENVIRONMENT):
        name = reference.removeprefix(_FROM_ENVIRONMENT)
        value = os.environ.get(name, "")
        if not value:
            raise InputError(
                f"The environment variable {name} with {what} is not set, or empty.",
                expected="a variable that this process has",
                hint="Set it where edgerd is started; for a systemd unit in a file named by EnvironmentFile=.",
            )
        return SecretStr(value)
    if reference.startswith(_FROM_FILE):
        return SecretStr(_file_content(Path(reference.removeprefix(_FROM_FILE)), what))
    raise InputError(f"It is not clear where {what} is.", expected=_WHERE, hint="Move it there; it is not shown here.")


def read_address(text: str, what: str) -> str:
    """An address that may hold secrets: it is written out only where it holds none, else fetched as `read_secret` does.

    Raises:
        InputError: It is written out with a secret in it, or is not where it should be.
    """
    if text.startswith((_FROM_ENVIRONMENT, _FROM_FILE)):
        return read_secret(text, what).get_secret_value()
    shown = without_secrets(text)
    if shown != text:
        raise InputError(f"{what[:1].upper()}{what[1:]} holds a secret: {shown}.", expected=_WHERE)
    return text


def _file_content(path: Path, what: str) -> str:
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(
            f"The file {path} with {what} cannot be read: {reason}.",
            expected="a text file that this user may read",
            hint=f"chmod 600 {path}, and make the user who runs edgerd its owner.",
        ) from error
    if not value:
        raise InputError(f"The file {path} with {what} is empty.", expected="the secret as its content")
    return value
