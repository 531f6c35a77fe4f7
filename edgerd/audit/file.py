"""A file of an audit trail that is written to: lines that are on the disk, a torn end, a rotation."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from edgerd.audit.chain import NO_HASH, hash_of, line_of, record_of
from edgerd.errors import InputError
from edgerd.paths import exists
from edgerd.storage import folder_for, storage_errors

MAX_BYTES: Final = 16_000_000
"""From this size on a new file is begun."""


MakeEntry: TypeAlias = Callable[[], Mapping[str, Any]]
"""Makes an entry, as `edgerd.audit.chain.line_of` takes it."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where a trail ends: the number of its last record, -1 where there is none, and the hash of its last line."""

    n: int = -1
    sha256: str = NO_HASH


class AuditFile:
    """Appends records; each is on the disk when `append` returns.

    What an older process left is continued: a last line without its end is closed, with a record that says so where it
    is not whole. A file that was renamed or removed, or that is as large as `max_bytes`, is followed by a new one,
    whose first line holds the last hash.

    Args:
        path: The file, made with its folder where it is not there.
        begin: Makes the entry that begins a file; its details name the recipe.
        torn: Makes the entry that closes a torn line.
        max_bytes: See above.

    Raises:
        InputError: Another process writes to it.
        StorageError: It cannot be written.
    """

    def __init__(self, path: Path, begin: MakeEntry, torn: MakeEntry, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._begin = begin
        self._torn = torn
        self._max_bytes = max_bytes
        self._descriptor = -1
        self._end = _End()
        with storage_errors(path, _HINT), folder_for(path.parent):
            self._open(self._newest_rotated())

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write a record.

        Args:
            entry: As `edgerd.audit.chain.line_of` takes it.

        Raises:
            InputError: The file was moved away, and another process writes to the one that is there now.
            StorageError: The disk is full, or the file cannot be written. Nothing of the record stays in it.
        """
        with storage_errors(self.path, _HINT):
            if self._is_moved():
                self._open(self._name_now())
            elif os.fstat(self._descriptor).st_size >= self._max_bytes:
                self._rotate()
                self._open(self._name_now())
            self._write(entry)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self, continues: str | None) -> None:
        """Open and lock the file at the path, and make it ready for the next record; else all is as it was.

        Args:
            continues: The name of the file that a new one continues; None where there is none, or it is not known.
        """
        before = self._descriptor, self._end
        is_new = not exists(self.path)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            _lock(self._descriptor, self.path)
            if is_new:
                _sync_folder(self.path.parent)
            self._make_ready(continues)
        except BaseException:
            os.close(self._descriptor)
            self._descriptor, self._end = before
            raise
        if before[0] >= 0:
            os.close(before[0])

    def _make_ready(self, continues: str | None) -> None:
        """Find the last line, close one that is torn, and begin a file that has no whole line."""
        *lines, fragment = self._content().split(b"\n")
        if not lines:
            os.ftruncate(self._descriptor, 0)  # a first line that was never whole
            if self._end.n < 0 and continues is not None:  # this process has not seen the file before
                self._end = _end_of((self.path.parent / continues).read_bytes().split(b"\n")[:-1])
            entry = self._begin()
            self._write({**entry, "details": {**entry["details"], "continues": continues}})
            return
        self._end = _end_of(lines)
        record = record_of(fragment)
        if record and record["before"] == self._end.sha256:  # it lacks nothing but its end
            self._put(b"\n")
            self._end = _end_of([fragment])
        elif fragment or record_of(lines[-1]) is None:
            self._close_torn(lines, fragment)

    def _close_torn(self, lines: Sequence[bytes], fragment: bytes) -> None:
        """Write the record that says so of what stands behind the last record; two power cuts may have left it."""
        whole = next((line for line in reversed(lines) if record_of(line)), b"")
        before = hash_of(fragment) if fragment else self._end.sha256
        entry = {**self._torn(), "details": {"n_bytes": len(fragment), "last_whole": hash_of(whole)}}
        line = line_of(entry, self._end.n + 1, before)
        self._put((b"\n" if fragment else b"") + line + b"\n")
        self._end = _End(self._end.n + 1, hash_of(line))

    def _rotate(self) -> None:
        """Give the full file its number."""
        numbers = [_number(file.name) for file in self._rotated_files()]
        number = max(numbers, default=0) + 1
        self.path.rename(self.path.with_name(f"{self.path.stem}-{number:06d}{self.path.suffix}"))
        _sync_folder(self.path.parent)

    def _name_now(self) -> str | None:
        """The name that the open file has after a rotation; None where it is not known."""
        state = os.fstat(self._descriptor)
        return next((file.name for file in self._rotated_files() if os.path.samestat(file.stat(), state)), None)

    def _rotated_files(self) -> list[Path]:
        pattern = re.compile(rf"{re.escape(self.path.stem)}-\d{{6,}}{re.escape(self.path.suffix)}")
        return [file for file in self.path.parent.iterdir() if pattern.fullmatch(file.name)]

    def _newest_rotated(self) -> str | None:
        names = [file.name for file in self._rotated_files()]
        return max(names, key=_number, default=None)

    def _is_moved(self) -> bool:
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return True

    def _content(self) -> bytes:
        size = os.fstat(self._descriptor).st_size
        parts, offset = [], 0
        while offset < size and (part := os.pread(self._descriptor, size - offset, offset)):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = line_of(entry, self._end.n + 1, self._end.sha256)
        self._put(line + b"\n")
        self._end = _End(self._end.n + 1, hash_of(line))

    def _put(self, content: bytes) -> None:
        """Append, and wait for the disk; what was written in part is taken back."""
        size = os.fstat(self._descriptor).st_size
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise


def _end_of(lines: Sequence[bytes]) -> _End:
    """Where whole lines end. The last record may stand before lines that are none."""
    records = (record for line in reversed(lines) if (record := record_of(line)))
    return _End(next((record["n"] for record in records), -1), hash_of(lines[-1]) if lines else NO_HASH)


_HINT = "Free some space or choose another file in [audit]; the lines before are kept."


def _number(name: str) -> int:
    return int(Path(name).stem.rpartition("-")[2])


def _lock(descriptor: int, path: Path) -> None:
    """Keep other processes from writing to the file as long as it is open; not where the file system has no locks.

    Raises:
        InputError: Another process has it.
    """
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{path} is in use: another process writes this audit trail.",
            expected="a trail of its own for each line",
            hint="End the other process, or give this line another file: path in the recipe's table [audit].",
        ) from error
    except OSError:  # some network file systems
        return


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Windows has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
