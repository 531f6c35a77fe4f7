"""The nodes that clients see, and the server that holds them; the only file that imports asyncua."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from asyncua import ua
from asyncua.common.node import Node
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.event_generator import EventGenerator
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from cryptography import x509

from edgerd import __version__
from edgerd.errors import InputError
from edgerd.sinks.opcua.cameras import CameraResult
from edgerd.sinks.opcua.security import OpcUaSecurity

NAMESPACE: Final = "urn:edgerd:vision"
PATH: Final = "/edgerd"
_ROOT: Final = "edgerd"

_RESULT: Final = (
    ("ResultId", ua.VariantType.String, ""),
    ("IsPartial", ua.VariantType.Boolean, False),
    ("ResultState", ua.VariantType.Int32, 0),
    ("CreationTime", ua.VariantType.DateTime, datetime(1601, 1, 1, tzinfo=timezone.utc)),
    ("JobId", ua.VariantType.String, ""),
    ("ProductId", ua.VariantType.String, ""),
    ("Verdict", ua.VariantType.String, ""),
    ("Score", ua.VariantType.Double, -1.0),
    ("ResultContent", ua.VariantType.String, ""),
)
"""Name, type and first value of each variable of a result, and of each field of its event."""

# What fails is said by edgerd; without this, Python prints asyncua's warnings on stderr.
logging.getLogger("asyncua").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class _Camera:
    """The nodes of one camera: its two states, the variables of its latest result, and what sends its events."""

    states: tuple[Node, Node]
    result: dict[str, Node]
    event: EventGenerator


class AddressSpace:
    """An OPC UA server with the nodes of the cameras, for one asyncio loop.

    Args:
        host: Address to listen at.
        port: TCP port.
        security: Certificate, user and password; None for anybody, without encryption.
    """

    _heartbeat: Node

    def __init__(self, host: str, port: int, security: OpcUaSecurity | None) -> None:
        self._server = Server(user_manager=_Users(security))
        self._server.set_endpoint(f"opc.tcp://{f'[{host}]' if ':' in host else host}:{port}{PATH}")
        self._server.set_server_name("edgerd")
        self._server.allow_remote_admin(False)
        self._security = security
        self._cameras: dict[str, _Camera] = {}
        self._written: dict[Node, Any] = {}

    async def start(self, cameras: Sequence[str], heartbeat_timeout_ms: int) -> None:
        """Make the nodes and listen.

        Raises:
            InputError: Certificate or key cannot be used.
        """
        credentials = await _credentials(self._security) if self._security else None
        await self._server.init()
        await self._secure(credentials)
        index = await self._server.register_namespace(NAMESPACE)
        root = await self._server.nodes.objects.add_object(_node_id(index, _ROOT), ua.QualifiedName(_ROOT, index))
        self._heartbeat = await _variable(root, index, "Heartbeat", ua.VariantType.UInt16, 0)
        await _variable(root, index, "HeartbeatTimeout", ua.VariantType.UInt16, heartbeat_timeout_ms)
        await _variable(root, index, "Version", ua.VariantType.String, __version__)
        event_type = await self._server.create_custom_event_type(
            index, "ResultReadyEventType", properties=[(name, kind) for name, kind, _ in _RESULT]
        )
        folder = await _object(root, index, "Cameras")
        for camera in cameras:
            self._cameras[camera] = await self._add_camera(folder, index, camera, event_type)
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening, and end all connections."""
        await self._server.stop()

    async def write_heartbeat(self, count: int) -> None:
        """Show the heartbeat, 0 to 65535."""
        await self._write(self._heartbeat, ua.Variant(count, ua.VariantType.UInt16))

    async def write_states(self, camera: str, vision: str, automatic: str) -> None:
        """Show the states of a camera's two state machines."""
        for node, state in zip(self._cameras[camera].states, (vision, automatic), strict=True):
            await self._write(node, ua.Variant(ua.LocalizedText(state, "en"), ua.VariantType.LocalizedText))

    async def write_result(self, result: CameraResult) -> None:
        """Show a result as its camera's latest one, and send its event to whoever has subscribed."""
        nodes, event = self._cameras[result.camera].result, self._cameras[result.camera].event
        values = {
            "ResultId": result.result_id,
            "IsPartial": False,
            "ResultState": result.result_state,
            "CreationTime": datetime.fromtimestamp(result.creation_time, timezone.utc),
            "JobId": result.job_id,
            "ProductId": result.product_id,
            "Verdict": result.verdict,
            "Score": result.score,
            "ResultContent": json.dumps(result.content, allow_nan=False),
        }
        for name, kind, _ in _RESULT:
            await nodes[name].write_value(ua.Variant(values[name], kind))
            setattr(event.event, name, values[name])
        await event.trigger(message=f"{result.camera}: {result.verdict}")

    async def _add_camera(self, folder: Node, index: int, name: str, event_type: Node) -> _Camera:
        camera = await _object(folder, index, name)
        machine = await _object(camera, index, "VisionStateMachine")
        automatic = await _object(machine, index, "AutomaticModeStateMachine")
        management = await _object(camera, index, "ResultManagement")
        results = await _object(management, index, "Results")
        latest = await _object(results, index, "Latest")
        return _Camera(
            states=(await _state(machine, index), await _state(automatic, index)),
            result={
                variable: await _variable(latest, index, variable, kind, first) for variable, kind, first in _RESULT
            },
            event=await self._server.get_event_generator(event_type, camera.nodeid),
        )

    async def _write(self, node: Node, value: ua.Variant) -> None:
        """Write a value where it is another than before, so that subscribers hear of changes alone."""
        if self._written.get(node) != value.Value:
            self._written[node] = value.Value
            await node.write_value(value)

    async def _secure(self, credentials: _Credentials | None) -> None:
        if credentials is None:
            self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            self._server.set_identity_tokens([ua.AnonymousIdentityToken])
            return
        self._server.iserver.certificate = credentials.certificate
        self._server.iserver.private_key = credentials.private_key
        self._server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        self._server.set_identity_tokens([ua.UserNameIdentityToken])
        await self._server.set_application_uri(_application_uri(credentials.certificate) or NAMESPACE)


class _Users(UserManager):
    """Says who may connect: the one user there is, or anybody where there is no security."""

    def __init__(self, security: OpcUaSecurity | None) -> None:
        self._security = security

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002  asyncua's signature
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,  # noqa: ARG002
    ) -> User | None:
        """The user who may connect, or None; the certificate only encrypts and proves nothing."""
        if self._security is None or self._security.admits(username, password):
            return User(role=UserRole.User, name=username)
        return None


@dataclass(frozen=True, slots=True)
class _Credentials:
    certificate: x509.Certificate
    private_key: Any


async def _credentials(security: OpcUaSecurity) -> _Credentials:
    """Certificate and key, read and found to belong together.

    Raises:
        InputError: They cannot be read, or do not.
    """
    certificate = await _load(uacrypto.load_certificate, security.certificate, "certificate")
    private_key = await _load(uacrypto.load_private_key, security.private_key, "private key")
    if certificate.public_key() != private_key.public_key():
        raise InputError(
            f"{security.private_key} is not the key of {security.certificate}.",
            expected="a certificate and its own private key",
            hint="docs/reference/opcua.md has a command that makes both.",
        )
    return _Credentials(certificate, private_key)


async def _load(load: Any, path: Any, kind: str) -> Any:
    try:
        return await load(path)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"The {kind} {path} of the OPC UA server cannot be read: {error}.",
            expected="a PEM file that ends in .pem, or a DER file; a key without a passphrase",
            hint="docs/reference/opcua.md has a command that makes both.",
        ) from error


def _application_uri(certificate: x509.Certificate) -> str | None:
    """The URI in a certificate's SubjectAltName: clients refuse a server that calls itself something else."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else None


def _node_id(index: int, path: str) -> ua.NodeId:
    return ua.NodeId(ua.String(path), ua.Int16(index))


def _path(node: Node) -> str:
    """The text of a node's id, which those of its children begin with."""
    return str(node.nodeid.Identifier)


async def _object(parent: Node, index: int, name: str) -> Node:
    return await parent.add_object(_node_id(index, f"{_path(parent)}.{name}"), ua.QualifiedName(name, index))


async def _variable(parent: Node, index: int, name: str, kind: ua.VariantType, value: Any) -> Node:
    node_id = _node_id(index, f"{_path(parent)}.{name}")
    return await parent.add_variable(node_id, ua.QualifiedName(name, index), value, kind)


async def _state(machine: Node, index: int) -> Node:
    text = ua.LocalizedText("", "en")
    return await _variable(machine, index, "CurrentState", ua.VariantType.LocalizedText, text)
