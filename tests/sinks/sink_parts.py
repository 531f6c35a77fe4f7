"""Events, certificates and ports for the tests of sinks."""

from __future__ import annotations

import datetime
import ipaddress
import socket
from pathlib import Path
from typing import Any

from edgerd.events import Alert, uuid7


def event(frame: int = 0, camera: str = "line-1", state: str = "raised", id: str | None = None) -> dict[str, Any]:  # noqa: A002  the key's name
    return Alert(id or uuid7(), state, camera, frame, camera, 1.5, 2.5, score=0.75, threshold=0.5).to_json()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def write_certificates(folder: Path, name: str = "server") -> tuple[Path, Path, Path]:
    """An authority's certificate, and a key with its certificate for 127.0.0.1 and localhost, in PEM files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def built(subject: str, key: Any, issuer: str, signing_key: Any, *extensions: Any) -> Any:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signing_key, hashes.SHA256())

    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = f"authority of {name}"
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = built(
        authority_name, authority_key, authority_name, authority_key,
        x509.BasicConstraints(ca=True, path_length=0), usage, identifier,
    )  # fmt: skip
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    server = built(
        "localhost", server_key, authority_name, authority_key, names,
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
    )  # fmt: skip
    files = tuple(folder / f"{name}-{part}.pem" for part in ("ca", "key", "cert"))
    files[0].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    files[2].write_bytes(server.public_bytes(serialization.Encoding.PEM))
    return files[0], files[1], files[2]
