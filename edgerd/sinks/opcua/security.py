"""Who may connect to the OPC UA server, and how."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path

from edgerd.errors import InputError


@dataclass(frozen=True)
class OpcUaSecurity:
    """Signed and encrypted connections (Basic256Sha256) for one user with a password.

    Attributes:
        certificate: The server's certificate, `.pem`, or DER with any other ending. The URI in its SubjectAltName
            becomes the server's application URI.
        private_key: Its key in one of the same two forms, without a passphrase.
        user: Name of the user.
        password: The user's password; no text of this object shows it.

    Raises:
        InputError: User or password is empty.
    """

    certificate: Path
    private_key: Path
    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.user or not self.password:
            raise InputError(
                "The user of the OPC UA server has no name, or no password.",
                expected="both, since clients may come from other machines",
                hint="Check what the environment variable or the file holds that the password is read from.",
            )

    def admits(self, user: str | None, password: str | None) -> bool:
        """Whether these are the user and the password; takes the same time whichever of them is wrong."""
        is_user = hmac.compare_digest((user or "").encode(), self.user.encode())
        is_password = hmac.compare_digest((password or "").encode(), self.password.encode())
        return is_user and is_password
