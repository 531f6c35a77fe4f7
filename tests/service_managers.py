"""A service manager that listens, for tests of what it is told."""

from __future__ import annotations

import socket
from types import TracebackType

_TIMEOUT_S = 20


class Listening:
    """The manager's end of NOTIFY_SOCKET.

    Args:
        address: A path, or `@` and a name for the abstract namespace.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def heard(self) -> str:
        """The next message; waits for it."""
        self._socket.settimeout(_TIMEOUT_S)
        return self._socket.recv(4096).decode()

    def heard_so_far(self) -> list[str]:
        """The messages that have come by now."""
        self._socket.settimeout(0)
        messages = []
        try:
            while True:
                messages.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return messages

    def __enter__(self) -> Listening:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()
