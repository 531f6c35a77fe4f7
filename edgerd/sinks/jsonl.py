"""Messages as JSON Lines: one message, one line, appended."""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from edgerd.errors import DeliveryError, StorageError
from edgerd.events import FrameVerdict, Message
from edgerd.storage import storage_errors

STANDARD_OUTPUT = "-"
_PATIENCE_MS = 1000
"""How long a verdict waits for a reader that does not read."""


class JsonlSink:
    """Appends messages to a file that may be read, rotated or cut at any line.

    A line is in the file when `send` returns; that of an event is on the disk. Where the file was renamed or removed
    meanwhile, as log rotation does, the next line begins a new file at the same path.

    A pipe or terminal whose reader has stopped reading holds up the line of a verdict for a second, and those after it
    not at all, until it reads again; events wait for it, in `send` or in the outbox.

    Args:
        target: Path of the file, made if it is not there, or `-` for standard output.
        name: What an outbox calls it; by default the target.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, target: str | Path, *, name: str = "") -> None:
        self.name = name or str(target)
        self._path = Path(target)
        self._descriptor: int | None = None
        self._line_is_torn = False
        self._patience_ms = _PATIENCE_MS
        with self._storage_errors():
            if str(target) == STANDARD_OUTPUT:
                sys.stdout.flush()
                self._descriptor = os.dup(sys.stdout.fileno())
            else:
                self._descriptor = self._open()
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._is_rotatable = self._is_file and str(target) != STANDARD_OUTPUT

    def send(self, message: Message) -> None:
        """Append one message.

        Args:
            message: An event, or what was found in one frame; floats must be finite.

        Raises:
            StorageError: The disk is full, or the sink is closed.
        """
        with self._storage_errors():
            descriptor = self._current()
            if isinstance(message, FrameVerdict) and not self._is_rotatable:
                self._wait_for_reader(descriptor)
            self._write(descriptor, _line(message.to_json()))
            if not isinstance(message, FrameVerdict):
                self._sync(descriptor)

    def deliver(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Append events, and wait until they are on the disk.

        Args:
            batch: JSON forms of events.

        Raises:
            DeliveryError: The disk is full, a pipe's reader has stopped reading, or the sink is closed; trying again
                may help. The events that it counts as delivered are on the disk.
        """
        n_written = n_synced = 0
        try:
            with self._storage_errors():
                descriptor = self._current()
                try:
                    for event in batch:
                        if not self._is_rotatable:
                            self._wait_for_reader(descriptor)
                        self._write(descriptor, _line(event))
                        n_written += 1
                finally:
                    self._sync(descriptor)
                    n_synced = n_written
        except StorageError as error:
            raise DeliveryError(
                error.what, retryable=True, n_delivered=n_synced, expected=error.expected, hint=error.hint
            ) from error

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._line_is_torn = _ends_within_a_line(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _current(self) -> int:
        """The descriptor to write to now.

        Raises:
            OSError: The sink is closed, or a file cannot be opened again after rotation.
        """
        if self._descriptor is None:
            raise OSError(errno.EBADF, "it is closed")
        if self._is_rotatable:
            self._descriptor = self._reopened_if_rotated(self._descriptor)
        return self._descriptor

    def _sync(self, descriptor: int) -> None:
        if self._is_file:
            os.fsync(descriptor)

    def _reopened_if_rotated(self, descriptor: int) -> int:
        """The descriptor of the file that stands at the path now: nobody reads lines in a file that was moved away."""
        try:
            is_same = os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            is_same = False
        if is_same:
            return descriptor
        new = self._open()
        os.close(descriptor)
        return new

    def _wait_for_reader(self, descriptor: int) -> None:
        """Let a reader catch up, but not stop the line.

        Raises:
            OSError: It does not read.
        """
        if sys.platform == "win32":  # it can wait for sockets only
            return
        waits = select.poll()
        waits.register(descriptor, select.POLLOUT)
        if not waits.poll(self._patience_ms):
            self._patience_ms = 0
            raise OSError(errno.EAGAIN, "its reader has stopped reading")
        self._patience_ms = _PATIENCE_MS

    def _write(self, descriptor: int, line: bytes) -> None:
        """Append a line; half a line that an earlier failure left is ended first, so that it swallows no other."""
        left = memoryview(b"\n" + line if self._line_is_torn else line)
        while left:
            written = os.write(descriptor, left)
            left = left[written:]
            self._line_is_torn = bool(left)

    def _storage_errors(self) -> AbstractContextManager[None]:
        return storage_errors(self._path, "Free some space or choose another file; the lines before are kept.")


def _line(record: Mapping[str, Any]) -> bytes:
    # A byte of a file name that is no UTF-8 is a lone surrogate in Python; its escape is JSON.
    return json.dumps(record, allow_nan=False, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def _ends_within_a_line(descriptor: int) -> bool:
    """Whether a full disk or a power cut left the last line of a file half written; False where it is no file."""
    state = os.fstat(descriptor)
    return stat.S_ISREG(state.st_mode) and state.st_size > 0 and os.pread(descriptor, 1, state.st_size - 1) != b"\n"
