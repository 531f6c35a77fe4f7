"""Which addresses are this machine's alone, and which clients may connect."""

from __future__ import annotations

import pytest

from edgerd.errors import EdgerdError, InputError
from edgerd.sinks.hosts import AllowedClients, check_can_listen, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "", "localhost.example.com", "127.0.0.1.example.com"])
def test_whatever_else_may_be_reached_from_outside(host: str) -> None:
    assert not is_loopback(host)


def test_clients_are_allowed_by_address_or_network() -> None:
    allowed = AllowedClients(["192.168.10.5", "10.0.0.1/8", "fd00::/64"])
    assert all(host in allowed for host in ("192.168.10.5", "10.9.8.7", "fd00::1", "::ffff:10.1.1.1"))
    assert not any(host in allowed for host in ("192.168.10.6", "11.0.0.1", "fd01::1", "127.0.0.1"))
    assert "192.0.2.1" in AllowedClients([])


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InputError, match="plc1"):
        AllowedClients(["plc1"])


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_cannot_be_listened_at(host: str) -> None:
    with pytest.raises(EdgerdError, match="Listening at"):
        check_can_listen(host, 0)
