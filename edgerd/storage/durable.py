"""Calls that return when what they did is on the disk, so that it is there after a power cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from edgerd.paths import exists


@contextlib.contextmanager
def folder_for(folder: Path) -> Iterator[None]:
    """Make a folder, with those on the way to it, for what the block puts into it.

    Those that were made are on the disk when the block begins. Where nothing was put into them, as after an error, they
    are removed again.

    Raises:
        OSError: A folder cannot be made.
    """
    new = [one for one in (folder, *folder.parents) if not exists(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for made in new:
            sync(made.parent)
        yield
    finally:
        for made in new:
            with contextlib.suppress(OSError):  # there is something in it
                made.rmdir()


def write_durably(file: Path, content: bytes) -> None:
    """Write a file, with the folders on the way, and wait until its content is on the disk.

    Raises:
        OSError: The disk refuses it; a part of the file may be there.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name where the file system can, else copy it with its mode; its content is then on the disk.

    A file that somebody has just copied to `source` may not be on the disk yet, so that a link is waited for as well.

    Raises:
        OSError: `source` cannot be read, or the disk refuses the copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
    sync(target)


def sync(path: Path) -> None:
    """Wait until a file is on the disk; or a folder, with the names in it. Windows has no such call for folders.

    Raises:
        OSError: The disk refuses it.
    """
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def mode_of(path: Path) -> int | None:
    """The permissions of what is at `path`; None where there is nothing."""
    return stat.S_IMODE(path.stat().st_mode) if exists(path) else None


def keep_mode(old: Path, new: Path) -> None:
    """Give a new file the permissions of the one whose place it takes, if there is one."""
    mode = mode_of(old)
    if mode is not None:
        new.chmod(mode)
