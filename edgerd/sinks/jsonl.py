"""Events as JSON Lines: one event, one line, appended."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from edgerd.storage import storage_errors

STANDARD_OUTPUT = "-"


class JsonlSink:
    """Appends events to a file that may be read, rotated or cut at any line.

    A line is in the file when `send` returns; that of an alert is on the disk.

    Args:
        target: Path of the file, made if it is not there, or `-` for standard output.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, target: str | Path) -> None:
        self._name = str(target)
        self._descriptor: int | None = None
        with self._storage_errors():
            if self._name == STANDARD_OUTPUT:
                sys.stdout.flush()
                self._descriptor = os.dup(sys.stdout.fileno())
            else:
                self._descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            if self._is_file and self._name != STANDARD_OUTPUT:
                self._end_torn_line(self._descriptor)

    def send(self, event: Mapping[str, Any]) -> None:
        """Append one event.

        Args:
            event: JSON values; floats must be finite.

        Raises:
            StorageError: The disk is full, or the sink is closed.
        """
        # A byte of a file name that is no UTF-8 is a lone surrogate in Python; its escape is JSON.
        text = json.dumps(event, allow_nan=False, ensure_ascii=False).encode(errors="backslashreplace")
        line = memoryview(text + b"\n")
        with self._storage_errors():
            if self._descriptor is None:
                raise OSError(errno.EBADF, "it is closed")
            while line:
                line = line[os.write(self._descriptor, line) :]
            if self._is_file and event.get("kind") == "alert":
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _end_torn_line(self, descriptor: int) -> None:
        """A line that a full disk or a power cut left half written must not swallow the first of ours."""
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")

    def _storage_errors(self) -> AbstractContextManager[None]:
        return storage_errors(Path(self._name), "Free some space or choose another file; the lines before are kept.")
