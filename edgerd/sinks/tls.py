"""How servers are checked that sinks connect to."""

from __future__ import annotations

import ssl
from pathlib import Path

from edgerd.errors import InputError


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS in which the server's certificate and host name are checked.

    Args:
        ca_file: Certificates (PEM) to trust instead of the system's, for a server with one of its own. The system's are
            those of its store, to which companies add their own.

    Raises:
        InputError: The file cannot be read, or holds none.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"{ca_file} cannot be used as a CA file: {error.strerror or error}.",
            expected="certificates in PEM form",
            hint="Name the certificate of the authority that signed the server's.",
        ) from error
