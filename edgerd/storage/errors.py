"""What the operating system says of a disk, as an error of ours."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from edgerd.errors import StorageError

_FREE = "Free some space"
UNCHANGED = "Free some space or choose another place with -o; what was there before is unchanged."
IN_PLACE = (
    "Free some space, or copy the bundle to a folder where you may write and name it there; it is unchanged. In a "
    "container mount the folder above the bundle: what is mounted itself cannot be replaced."
)
"""What to do next where something is saved where it lies, so that no other place can be chosen."""


@contextlib.contextmanager
def storage_errors(path: Path, hint: str = UNCHANGED) -> Iterator[None]:
    """Turn an OSError inside the block, which writes, into a StorageError about `path`.

    Args:
        path: What is written.
        hint: What to do next where the disk is full. Where it is not, its "free some space" is replaced by advice to
            check the folder.

    Raises:
        StorageError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        # numpy has no number for a disk that took a part: "4096 requested and 512 written"
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error)
        raise StorageError(
            f"{path} could not be written: {'the disk is full' if is_full else error.strerror or error}.",
            expected="a writable folder with space left",
            hint=hint if is_full else hint.replace(_FREE, "Check the folder and its permissions"),
        ) from error
