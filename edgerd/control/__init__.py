"""A line commanded from outside: parts are triggered and products changed over, by HTTP and by MQTT.

line        what is commanded: the protocols that the owner of a line implements; `fake` has one for tests
requests    what a message says
parts       parts that were asked about, and their verdicts
commands    the commands, checked once for every way that they come; a `PlcLink`, through which verdicts go back
server      over HTTP; `gate` says who may
mqtt        over MQTT

Nothing of a message is ever used as a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from edgerd.control.commands import Commands
from edgerd.errors import MissingDependencyError

if TYPE_CHECKING:
    from edgerd.control.server import ControlServer

__all__ = ["Commands", "open_control"]


def open_control(
    commands: Commands, *, host: str = "127.0.0.1", port: int, token: SecretStr | None = None
) -> ControlServer:
    """Begin to take commands over HTTP.

    Args:
        commands: What takes them.
        host: Address to listen at; loopback by default.
        port: TCP port; 0 for any that is free.
        token: What requests must carry as `Authorization: Bearer TOKEN`. Beyond this machine there must be one.

    Returns:
        The server, a context manager; `close` ends it.

    Raises:
        MissingDependencyError: starlette or uvicorn is not installed.
        InputError: There is no token, and the address can be reached from other machines; or the token is empty.
        EdgerdError: The address or the port cannot be had.
    """
    try:
        from edgerd.control.server import ControlServer
    except ImportError as error:
        raise MissingDependencyError(
            f"The control over HTTP needs {error.name or 'a library'}, which does not import here: {error}.",
            expected="starlette and uvicorn",
            hint='pip install "edgerd[control]"',
        ) from error
    return ControlServer(commands, host=host, port=port, token=token)
