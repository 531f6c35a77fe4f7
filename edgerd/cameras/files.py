"""Pictures on disk as a camera: a folder, a glob, or one picture."""

from __future__ import annotations

import glob
import os
import shlex
import stat
import time
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from edgerd.cameras.protocol import UnreadablePictureError
from edgerd.data.pictures import PICTURE_SUFFIXES, read_picture
from edgerd.errors import DatasetError, PictureError
from edgerd.paths import natural_key
from edgerd.types import Frame


class FilesCamera:
    """Every picture of a folder (not of the folders in it), of a glob, or one picture, in natural order.

    Files whose name starts with a dot are left out, as in a data set: other systems leave their notes in such.

    Args:
        uri: Folder, glob (`**` goes through folders) or picture, or `files://` and any of these.

    Raises:
        DatasetError: There are no pictures.
    """

    live = False
    fixed_size = False

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._paths = _picture_paths(uri.removeprefix("files://"))
        self.n_frames = len(self._paths)
        self._number = 0

    def read(self) -> Frame | None:
        """The next picture as BGR, or None after the last.

        Raises:
            UnreadablePictureError: This one cannot be read; the next call goes on with the one after it.
        """
        if self._number == len(self._paths):
            return None
        path = self._paths[self._number]
        frame = Frame(
            data=np.empty((0, 0, 3), np.uint8),
            number=self._number,
            captured_at=time.time(),
            captured_monotonic_s=time.monotonic(),
            source=str(path),
        )
        self._number += 1
        try:
            return replace(frame, data=read_picture(path))
        except PictureError as error:
            raise UnreadablePictureError(error, frame) from error

    def close(self) -> None:
        """End here; the next `read` gives None."""
        self._number = len(self._paths)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be read: {error.strerror}.", expected="a readable folder", hint="Check its permissions."
        ) from error


def _hint(address: str) -> str:
    names = (name for _, _, names in os.walk(address) for name in names)
    suffix = next((suffix for name in names if (suffix := PurePath(name).suffix).lower() in PICTURE_SUFFIXES), None)
    if suffix is None:
        return "Name a folder of pictures, or a pattern in quotation marks: --camera 'parts/*.png'"
    return f"There are some in the folders below it: --camera {shlex.quote(f'{address}/**/*{suffix}')}"


def _picture_paths(address: str) -> list[Path]:
    if os.path.isdir(address):  # noqa: PTH112 -- a Path raises where a folder above may not be entered
        candidates = [file for file in _entries(Path(address)) if not file.name.startswith(".")]
    elif os.path.exists(address):  # noqa: PTH110
        candidates = [Path(address)]
    else:
        # Path.glob takes no absolute patterns.
        candidates = [Path(name) for name in glob.glob(_pattern(address), recursive=True)]  # noqa: PTH207
    pictures = [file for file in candidates if file.suffix.lower() in PICTURE_SUFFIXES and _may_be_file(file)]
    if not pictures:
        raise DatasetError(
            f"There are no pictures at {address}.",
            expected=f"files that end in {', '.join(sorted(PICTURE_SUFFIXES))}",
            hint=_hint(address),
        )
    return sorted(pictures, key=natural_key)


def _may_be_file(path: Path) -> bool:
    """True for files, and for links that lead nowhere: that these cannot be read is said when their turn comes."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _pattern(address: str) -> str:
    """The pattern in an address, whose folders may have brackets in their names that mean themselves."""
    parts = PurePath(address).parts
    for n in range(len(parts) - 1, 0, -1):
        folder = PurePath(*parts[:n])
        if os.path.isdir(folder):  # noqa: PTH112
            return str(PurePath(glob.escape(str(folder)), *parts[n:]))
    return address
