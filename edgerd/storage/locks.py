"""Locks between processes: on a file or folder that is open, so that they end with the process, however it ends."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from edgerd.errors import InputError
from edgerd.paths import exists, is_file, is_folder
from edgerd.storage.durable import folder_for

LOCK_FILE = ".lock"
"""In a folder that one process at a time may write to; see `only_writer_of`."""
_OTHER_FOLDER = "Wait until the other one has ended, or choose another folder with -o."


@contextlib.contextmanager
def only_writer_of(folder: Path, hint: str = _OTHER_FOLDER) -> Iterator[None]:
    """Keep other processes from writing to a folder for the time of the block.

    The folder is made if it is not there, and removed again if nothing was put into it. The lock is on a file in the
    folder, `LOCK_FILE`, which says who holds it. Where the file system has no locks, nobody is kept out.

    Args:
        folder: What is written to.
        hint: What to do where another process holds it.

    Raises:
        InputError: Another process holds the lock; the message says which.
        OSError: The folder or the file cannot be made.
    """
    file = folder / LOCK_FILE
    with folder_for(folder):
        handle = _own_lock_file(file, hint)
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()}".encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                file.unlink()
            os.close(handle)


def is_taken(path: Path) -> bool:
    """Whether something is at `path` already: anything but a folder that is empty or holds a lock file alone.

    Raises:
        OSError: It is a folder that cannot be read.
    """
    return exists(path) and (not is_folder(path) or any(entry.name != LOCK_FILE for entry in path.iterdir()))


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Wait until no other process is in such a block for `folder`; gives False where the file system has no locks.

    The lock is on the folder itself, so that it leaves no file.

    Raises:
        OSError: The folder cannot be opened.
    """
    if os.name != "posix":
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield lock(handle, wait=True)
    finally:
        os.close(handle)


def lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file or folder for this process alone; gives False where the file system has no locks.

    Raises:
        BlockingIOError: Another process holds the lock, and this one does not `wait`.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # some network file systems
        return False
    return True


def _own_lock_file(file: Path, hint: str) -> int:
    """Open and lock a lock file; again where the process that held it has removed it in between.

    Raises:
        InputError: Another process holds it.
    """
    while True:
        handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            lock(handle, wait=False)
            if is_file(file) and os.path.samestat(os.fstat(handle), file.stat()):
                return handle
        except BlockingIOError as error:
            holder = os.read(handle, 200).decode(errors="replace") or "another process"
            os.close(handle)
            raise InputError(
                f"{file.parent} is in use: {holder} writes to it.",
                expected="one process at a time that writes to this folder",
                hint=hint,
            ) from error
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
