"""Messages as JSON Lines: one message, one line, appended."""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import sys
from contextlib import AbstractContextManager
from pathlib import Path

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
    not at all, until it reads again; events wait for it.

    Args:
        target: Path of the file, made if it is not there, or `-` for standard output.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, target: str | Path) -> None:
        self.name = str(target)
        self._descriptor: int | None = None
        self._line_is_torn = False
        self._patience_ms = _PATIENCE_MS
        with self._storage_errors():
            if self.name == STANDARD_OUTPUT:
                sys.stdout.flush()
                self._descriptor = os.dup(sys.stdout.fileno())
            else:
                self._descriptor = self._open()
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def send(self, message: Message) -> None:
        """Append one message.

        Args:
            message: An event, or what was found in one frame; floats must be finite.

        Raises:
            StorageError: The disk is full, or the sink is closed.
        """
        # A byte of a file name that is no UTF-8 is a lone surrogate in Python; its escape is JSON.
        text = json.dumps(message.to_json(), allow_nan=False, ensure_ascii=False).encode(errors="backslashreplace")
        with self._storage_errors():
            if self._descriptor is None:
                raise OSError(errno.EBADF, "it is closed")
            if self._is_file and self.name != STANDARD_OUTPUT:
                self._descriptor = self._reopened_if_rotated(self._descriptor)
            elif isinstance(message, FrameVerdict):
                self._wait_for_reader(self._descriptor)
            self._write(self._descriptor, text + b"\n")
            if self._is_file and not isinstance(message, FrameVerdict):
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _open(self) -> int:
        descriptor = os.open(self.name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._line_is_torn = _ends_within_a_line(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _reopened_if_rotated(self, descriptor: int) -> int:
        """The descriptor of the file that stands at the path now: nobody reads lines in a file that was moved away."""
        try:
            is_same = os.path.samestat(Path(self.name).stat(), os.fstat(descriptor))
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
        return storage_errors(Path(self.name), "Free some space or choose another file; the lines before are kept.")


def _ends_within_a_line(descriptor: int) -> bool:
    """Whether a full disk or a power cut left the last line of a file half written; False where it is no file."""
    state = os.fstat(descriptor)
    return stat.S_ISREG(state.st_mode) and state.st_size > 0 and os.pread(descriptor, 1, state.st_size - 1) != b"\n"
