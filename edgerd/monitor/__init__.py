"""A running line, watched from outside: over HTTP, and by the service manager.

snapshot    what is known of a line at one moment, and whether it is healthy and ready
metrics     a snapshot in Prometheus' text format
server      /metrics, /healthz and /readyz, served by a thread of its own
watch       a thread that tells systemd when the line is ready and that it still works

Whoever runs a line gives a function that returns a `LineSnapshot`. Nothing here knows the line in any other way, and
nothing that fails here stops it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from edgerd.errors import MissingDependencyError
from edgerd.monitor.snapshot import LineSnapshot

if TYPE_CHECKING:
    from edgerd.monitor.server import Monitor

__all__ = ["LineSnapshot", "open_monitor"]


def open_monitor(
    snapshot: Callable[[], LineSnapshot],
    *,
    host: str = "127.0.0.1",
    port: int,
    host_names: Collection[str] = (),
) -> Monitor:
    """Begin to serve `/metrics`, `/healthz` and `/readyz` of a line.

    A port that cannot be had is no error, because a line must not stand still for it: the monitor is then not there,
    and `Monitor.loss` is a sentence that says so, for the caller to show.

    Args:
        snapshot: Gives the state of the line at any moment. It is called in the monitor's thread, once per request, and
            must not wait for anything.
        host: Address to listen at; loopback by default, `0.0.0.0` for every network interface.
        port: TCP port; 0 for any that is free.
        host_names: Names, beside addresses and `localhost`, by which clients may ask for it (the `Host` header).

    Returns:
        The monitor, a context manager; `close` ends it.

    Raises:
        MissingDependencyError: starlette, uvicorn or prometheus-client is not installed.
    """
    try:
        from edgerd.monitor.server import Monitor
    except ImportError as error:
        raise MissingDependencyError(
            f"The monitor needs {error.name or 'a library'}, which does not import here: {error}.",
            expected="starlette, uvicorn and prometheus-client",
            hint='pip install "edgerd[monitor]"',
        ) from error
    return Monitor(snapshot, host=host, port=port, host_names=host_names)
