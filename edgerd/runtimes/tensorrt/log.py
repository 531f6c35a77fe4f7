"""What TensorRT says while it works: its calls return None or False, and only its log tells why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tensorrt as trt

from edgerd.errors import DeviceError

_Made = TypeVar("_Made")

_KEPT = 50
_SIGNS_OF_NO_MEMORY = ("outofmemory", "out of memory", "insufficient memory", "could not be allocated", "bad_alloc")


class Log(trt.ILogger):
    """Keeps errors, from whichever thread they come, until they are taken; the rest is not shown.

    Attributes:
        errors: Since they were last taken, the oldest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT."""
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR) and len(self.errors) < _KEPT:
            self.errors.append(msg)

    def take(self) -> str:
        """The errors in one line, and forget them."""
        errors, self.errors = self.errors, []
        return "; ".join(dict.fromkeys(error.strip() for error in errors)) or "no reason given"


def started(kind: Callable[[Log], _Made], log: Log) -> _Made:
    """A builder or runtime, with which everything else is made.

    Args:
        kind: Its class.
        log: Stays with it.

    Raises:
        DeviceError: There is no driver for it, or one that is too old.
    """
    try:
        return kind(log)
    except TypeError as error:  # how the bindings say that nothing was made
        raise DeviceError(f"TensorRT does not start: {log.take()}.", hint="edgerd doctor") from error


def made(thing: _Made | None, log: Log, doing: str) -> _Made:
    """What a call of TensorRT's returned, checked.

    Args:
        thing: Returned by the call.
        log: Of the object that was called.
        doing: What it was to do, for the message.

    Raises:
        DeviceError: It is None.
    """
    if thing is None:
        raise refusal(log.take(), doing)
    return thing


def lacks_memory(reason: str) -> bool:
    """Whether errors of TensorRT's are about memory."""
    return any(sign in reason.lower() for sign in _SIGNS_OF_NO_MEMORY)


def refusal(reason: str, doing: str, flags: str = "") -> DeviceError:
    """The error for a call of TensorRT's that failed.

    Args:
        reason: What its log says.
        doing: What it was to do.
        flags: What was asked of the builder beyond the usual, as it was typed.
    """
    if lacks_memory(reason):
        return DeviceError(
            f"The GPU has not enough memory to {doing}: {reason}.",
            hint="Stop other programs that use it, or take a smaller batch with --profile, or a smaller --workspace.",
        )
    return DeviceError(
        f"TensorRT refused to {doing}: {reason}.",
        hint=f"Try without {flags}, one by one; not every device and graph has them all." if flags else "edgerd doctor",
    )
