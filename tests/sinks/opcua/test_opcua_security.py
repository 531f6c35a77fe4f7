"""Who may connect to the OPC UA server, and what it must be given to be reachable from other machines."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgerd.errors import InputError
from edgerd.sinks.opcua import OpcUaSecurity, OpcUaServer

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "opcua.md"
NAMESPACE = "urn:edgerd:vision"


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> OpcUaSecurity:
    return certificate_in(tmp_path_factory.mktemp("certificate"), "urn:edgerd:test", "operator", "s3cret")


def certificate_in(folder: Path, uri: str, user: str, password: str) -> OpcUaSecurity:
    key = generate_private_key()
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = generate_self_signed_app_certificate(key, "edgerd", {}, names, usage)
    (folder / "certificate.der").write_bytes(certificate.public_bytes(Encoding.DER))
    (folder / "key.pem").write_bytes(dump_private_key_as_pem(key))
    return OpcUaSecurity(folder / "certificate.der", folder / "key.pem", user, password)


@pytest.fixture(scope="module")
def secured(security: OpcUaSecurity) -> Iterator[OpcUaServer]:
    server = OpcUaServer(["top"], host="0.0.0.0", port=0, security=security)
    yield server
    server.close()


async def secure_client(server: OpcUaServer, folder: Path, user: str | None, password: str) -> Client:
    client = Client(f"opc.tcp://127.0.0.1:{server.port}/edgerd")
    client.application_uri = "urn:client"
    if user is not None:
        client.set_user(user)
        client.set_password(password)
    own = certificate_in(folder, "urn:client", "none", "none")
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        str(own.certificate),
        str(own.private_key),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    return client


def test_off_loopback_a_user_with_his_password_reads(secured: OpcUaServer, tmp_path: Path) -> None:
    async def connect() -> str:
        async with await secure_client(secured, tmp_path, "operator", "s3cret") as client:
            index = await client.get_namespace_index(NAMESPACE)
            node = client.get_node(ua.NodeId("edgerd.Cameras.top.VisionStateMachine.CurrentState", index))
            return (await node.read_value()).Text

    assert asyncio.run(connect()) == "Preoperational"


@pytest.mark.parametrize(
    ("user", "password"), [("operator", "wrong"), ("admin", "s3cret"), ("operator", ""), (None, "")]
)
def test_off_loopback_nobody_else_does(secured: OpcUaServer, tmp_path: Path, user: str | None, password: str) -> None:
    async def connect() -> None:
        async with await secure_client(secured, tmp_path, user, password):
            pass

    with pytest.raises(ua.UaError):
        asyncio.run(connect())


def test_off_loopback_nobody_connects_without_encryption(secured: OpcUaServer) -> None:
    async def connect() -> None:
        client = Client(f"opc.tcp://127.0.0.1:{secured.port}/edgerd")
        client.set_user("operator")
        client.set_password("s3cret")
        async with client:
            pass

    with pytest.raises((ua.UaError, ConnectionError, asyncio.TimeoutError)):
        asyncio.run(connect())


def test_off_loopback_it_wants_a_certificate() -> None:
    with pytest.raises(InputError, match="without encryption"):
        OpcUaServer(["top"], host="0.0.0.0", port=0)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_command_of_the_page_makes_a_certificate_that_works(tmp_path: Path) -> None:
    (command,) = re.findall(r"^    (openssl .*(?:\n        .*)*)", PAGE.read_text(), re.M)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    security = OpcUaSecurity(tmp_path / "opcua-certificate.pem", tmp_path / "opcua-key.pem", "operator", "s3cret")
    server = OpcUaServer(["top"], port=0, security=security)

    async def application_uri() -> str:
        client = Client(f"opc.tcp://127.0.0.1:{server.port}/edgerd")
        (endpoint,) = await client.connect_and_get_server_endpoints()
        assert endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
        return endpoint.Server.ApplicationUri

    try:
        assert asyncio.run(application_uri()) == "urn:edgerd:line1"
    finally:
        server.close()


def test_a_key_of_another_certificate_is_refused(security: OpcUaSecurity, tmp_path: Path) -> None:
    other = certificate_in(tmp_path, "urn:other", "a", "b")
    mixed = OpcUaSecurity(security.certificate, other.private_key, "a", "b")
    with pytest.raises(InputError, match="is not the key of"):
        OpcUaServer(["top"], port=0, security=mixed)


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_key_that_cannot_be_read_is_named(security: OpcUaSecurity, tmp_path: Path, content: bytes | None) -> None:
    key = tmp_path / "broken.pem"
    if content:
        key.write_bytes(content)
    with pytest.raises(InputError, match=r"private key .*broken\.pem"):
        OpcUaServer(["top"], port=0, security=OpcUaSecurity(security.certificate, key, "a", "b"))


def test_the_password_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in repr(OpcUaSecurity(tmp_path, tmp_path, "operator", "hunter2"))
    with pytest.raises(InputError):
        OpcUaSecurity(tmp_path, tmp_path, "operator", "")
