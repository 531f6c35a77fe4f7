"""Space on the disk that is set aside for the time when there is no other."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from edgerd.storage import sync

RESERVE_FILE: Final = "reserve"
_N_BYTES = 4 << 20
_FREE_FACTOR = 4
"""The reserve is only filled up where so many times its size is free: it must not fill the disk itself."""
_BLOCK = 1 << 16


class Reserve:
    """A file of a few megabytes that really take up space, beside a database that may run out of it.

    Args:
        folder: The database's.
        n_bytes: Size.
    """

    def __init__(self, folder: Path, n_bytes: int = _N_BYTES) -> None:
        self._file = folder / RESERVE_FILE
        self._n_bytes = n_bytes

    @property
    def is_held(self) -> bool:
        """Whether there is something to release."""
        try:
            return self._file.stat().st_size >= self._n_bytes
        except OSError:
            return False

    def fill(self) -> bool:
        """Set the space aside where there is plenty; returns whether it is set aside now."""
        if self.is_held:
            return True
        try:
            if shutil.disk_usage(self._file.parent).free < _FREE_FACTOR * self._n_bytes:
                return False
            with self._file.open("wb") as handle:
                # Random bytes, since file systems that compress would keep nothing for zeros.
                for begin in range(0, self._n_bytes, _BLOCK):
                    handle.write(os.urandom(min(_BLOCK, self._n_bytes - begin)))
                handle.flush()
                os.fsync(handle.fileno())
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Give the space back; returns whether there was any."""
        was_there = self._file.is_file()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
            sync(self._file.parent)
        return was_there and not self._file.is_file()
