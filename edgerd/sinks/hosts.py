"""Which network addresses a server may be reached from."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from typing import TypeAlias

from edgerd.errors import EdgerdError, InputError

_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


def is_loopback(host: str) -> bool:
    """Whether an address to listen at can be reached from this machine alone.

    Args:
        host: An IP address, or a name; of names only `localhost` counts.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_can_listen(host: str, port: int) -> int:
    """Check that nothing stands in the way of listening at an address.

    Args:
        host: An IP address of this machine, or its name.
        port: 0 for any that is free.

    Returns:
        The port, or one that is free.

    Raises:
        EdgerdError: It is in use, is not of this machine, or needs a right that this process has not.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
            found: int = probe.getsockname()[1]
    except PermissionError as error:
        raise EdgerdError(
            f"Listening at {host}, port {port} is not permitted.",
            expected="a port from 1024 on, or the right to use those below",
            hint="Choose another port, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE.",
        ) from error
    except OSError as error:
        raise EdgerdError(
            f"Listening at {host}, port {port} failed: {error.strerror or error}.",
            expected="an address of this machine, and a port that no other program uses",
            hint=f"ss -ltnp | grep :{port}   shows who uses it",
        ) from error
    return found


class AllowedClients:
    """Tells by its address whether a client may connect.

    Args:
        networks: Addresses and networks: `192.168.10.5`, `192.168.10.0/24`. Without any, everybody may.

    Raises:
        InputError: One of them is neither.
    """

    def __init__(self, networks: Collection[str]) -> None:
        try:
            self._networks: list[_Network] = [ipaddress.ip_network(network, strict=False) for network in networks]
        except ValueError as error:
            raise InputError(
                f"These are not all network addresses: {', '.join(networks)}: {error}.",
                expected="IP addresses such as 192.168.10.5, or networks such as 192.168.10.0/24",
            ) from error

    def __contains__(self, host: str) -> bool:
        if not self._networks:
            return True
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)
