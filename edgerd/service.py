"""The service manager, told how a process is: systemd's `sd_notify`, as sd_notify(3) describes it.

systemd starts a unit of `Type=notify` with the address of a datagram socket in `NOTIFY_SOCKET`, and with `WatchdogSec=`
also `WATCHDOG_USEC`. The protocol is a datagram of `NAME=value` lines, so that no library is needed; those that exist
are either C extensions over libsystemd or have not changed for years.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

_TIMEOUT_S = 1.0
"""How long a datagram may take where the service manager reads none: it must not hold up a line."""


@dataclass
class ServiceManager:
    """The service manager, such as systemd, that started this process; without one, nothing is sent.

    Attributes:
        address: Of its socket: a path, or a name in the abstract namespace that begins with `@`; None where nobody
            listens.
        watchdog_s: It kills this process after so many seconds without `still_alive`; None where it does not watch.
        loss: A sentence that says why it could not be told something; empty while all is well.
    """

    address: str | None = None
    watchdog_s: float | None = None
    loss: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceManager:
        """The one that `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` name."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):  # unset, or of a kind that only virtual machines have
            return cls()
        microseconds = environment.get("WATCHDOG_USEC", "")
        watched_pid = environment.get("WATCHDOG_PID", str(os.getpid()))
        is_watched = microseconds.isdecimal() and int(microseconds) > 0 and watched_pid == str(os.getpid())
        return cls(address, int(microseconds) / 1e6 if is_watched else None)

    def ready(self) -> None:
        """Say that the start is over and the line judges."""
        self._tell("READY=1")

    def still_alive(self) -> None:
        """Say that the line still works; often enough, at least twice in `watchdog_s`."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the line is about to end."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in one line what is going on; `systemctl status` shows it."""
        self._tell(f"STATUS={' '.join(text.splitlines())}")

    def _tell(self, message: str) -> None:
        if self.address is None:
            return
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_TIMEOUT_S)
                sender.connect(name)
                sender.sendall(message.encode(errors="replace"))
            self.loss = ""
        except OSError as error:  # a line must not stand still for it; systemd acts on what it does not hear
            self.loss = f"The service manager at {self.address} cannot be told {message}: {error.strerror or error}."
