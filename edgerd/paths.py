"""What there is on disk, asked without surprises, and the folders that an environment may or may not have."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from edgerd.errors import StorageError

_OTHER_TEMPORARY = "Free some space there, or set TMPDIR to a folder with more."
_FULL_BYTES = 1 << 20
"""Less than this free after a failure: the disk was the cause."""


def exists(path: Path) -> bool:
    """Whether there is something at `path`, links followed.

    False where it cannot be known, for instance in a folder that may not be entered: `Path.exists` raises there on some
    versions of Python. `why_missing` says which of the two it is.
    """
    return os.path.exists(path)  # noqa: PTH110  see above


def is_folder(path: Path) -> bool:
    """Whether there is a folder at `path`, links followed; False where it cannot be known."""
    return os.path.isdir(path)  # noqa: PTH112  as in `exists`


def is_file(path: Path) -> bool:
    """Whether there is a plain file at `path`, links followed; False where it cannot be known."""
    return os.path.isfile(path)  # noqa: PTH113  as in `exists`


def is_locked(path: Path) -> bool:
    """Whether what is at `path`, if anything, cannot be known: a folder on the way may not be entered."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False


def why_missing(path: Path, kind: str) -> str:
    """One sentence on why a path cannot be used: nothing is there, it is something else, or it cannot be reached.

    Args:
        path: What was looked for.
        kind: What it should be: "folder", "file", "bundle".
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a zero byte in the name
        return f"There is no {kind} at {path}."
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}."
    return f"There is no {kind} at {path}: it is something else."


def cache_folder() -> Path:
    """Where what can be fetched or made again is kept: by default `~/.cache/edgerd`, or below `$XDG_CACHE_HOME`.

    Where this user has no home folder, as in a container that runs as a number, it is a path that cannot be written:
    caches then do without, and what needs a file there says so and names XDG_CACHE_HOME.
    """
    try:
        folder = platformdirs.user_cache_path("edgerd", appauthor=False)
    except RuntimeError:  # of newer versions, for a user without a home
        folder = None
    # older versions leave "~" as it is
    return folder if folder and folder.is_absolute() else Path(os.devnull) / "no-home" / "edgerd"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the time of the block.

    Raises:
        StorageError: There is none to be had; or the block failed, and the disk that the folder is on is full:
            libraries that write there then say anything but that.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="edgerd-", ignore_cleanup_errors=True))
            )
        except OSError as error:
            raise StorageError(
                f"No temporary folder can be made: {error.strerror}.",
                expected="a folder for temporary files that can be written",
                hint=_OTHER_TEMPORARY,
            ) from error
        try:
            yield folder
        except Exception as error:
            if shutil.disk_usage(folder).free < _FULL_BYTES:
                raise StorageError(
                    f"{folder.parent}, the folder for temporary files, is full.",
                    expected="space for a copy of the graph and some pictures",
                    hint=_OTHER_TEMPORARY,
                ) from error
            raise


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sorts `part2.png` before `part10.png`; what differs only in case or leading zeros, by its characters."""
    name = path.as_posix()
    # Splitting at a group alternates text and digits, so that text is only ever compared with text.
    parts = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.casefold())]
    return parts, name
