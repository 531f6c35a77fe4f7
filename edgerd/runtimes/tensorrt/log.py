"""TensorRT's log: calls that fail return None or False, and only the log tells why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tensorrt as trt

from edgerd.errors import DeviceError

_Made = TypeVar("_Made")

_KEPT, _SHOWN = 50, 3
_SIGNS_OF_NO_MEMORY = ("outofmemory", "out of memory", "insufficient memory", "could not be allocated", "bad_alloc")


@dataclass(frozen=True)
class Complaint:
    """Why a call failed.

    A builder also logs an error for each kernel that it passes over; the error that ended it comes last.

    Attributes:
        errors: What was logged, the newest last.
    """

    errors: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.errors[-_SHOWN:]) or "no reason given"

    @property
    def is_about_memory(self) -> bool:
        """Whether the call failed because there was too little memory."""
        return bool(self.errors) and _is_about_memory(self.errors[-1])

    @property
    def may_be_about_memory(self) -> bool:
        """Whether there was too little memory at some point, for some kernel at least."""
        return any(map(_is_about_memory, self.errors))


class Log(trt.ILogger):
    """Keeps the newest errors, from whichever thread they come, until they are taken; warnings are dropped.

    Attributes:
        errors: Errors since they were last taken, each once, the newest last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Take in a message; TensorRT calls this, in its own threads."""
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
            text = msg.strip()
            self.errors = [*(error for error in self.errors if error != text), text][-_KEPT:]

    def take(self) -> Complaint:
        """Give the errors, and forget them."""
        errors, self.errors = self.errors, []
        return Complaint(tuple(errors))


def started(kind: Callable[[Log], _Made], log: Log) -> _Made:
    """Make an object of one of TensorRT's classes: a builder, a runtime, a refitter.

    Args:
        kind: The class.
        log: Where the object will log.

    Raises:
        DeviceError: There is no driver for it, or one that is too old; or it refuses.
    """
    try:
        return kind(log)
    except TypeError as error:  # the bindings raise it where the library gave no object
        raise DeviceError(f"TensorRT does not start: {log.take()}.", hint="edgerd doctor") from error


def made(thing: _Made | None, log: Log, doing: str) -> _Made:
    """Check what a call of TensorRT's has returned.

    Args:
        thing: What it returned.
        log: The log of the object that was called.
        doing: What the call was to do, for the message: "make a network".

    Raises:
        DeviceError: It is None.
    """
    if thing is None:
        raise refusal(log.take(), doing)
    return thing


def refusal(complaint: Complaint, doing: str, flags: str = "") -> DeviceError:
    """The error for a call of TensorRT's that failed.

    Args:
        complaint: What the log says.
        doing: What the call was to do: "build the engine".
        flags: Options of the builder as they were typed; empty for the usual ones.
    """
    if complaint.is_about_memory:
        return DeviceError(
            f"The GPU does not have enough memory to {doing}: {complaint}.",
            hint="Stop other programs that use it, or take a smaller batch with --profile, or a smaller --workspace.",
        )
    hints = ["Stop other programs that use the GPU: its memory ran out on the way."] * complaint.may_be_about_memory
    if flags:
        hints.append(f"Leave out {flags} one at a time; not every device and graph supports them all.")
    return DeviceError(f"TensorRT refused to {doing}: {complaint}.", hint=" ".join(hints) or "edgerd doctor")


def _is_about_memory(error: str) -> bool:
    return any(sign in error.lower() for sign in _SIGNS_OF_NO_MEMORY)
