"""What is said where somebody names something else than a folder of pictures: what it is, and what to type instead."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from shlex import quote
from typing import Final

from edgerd.data.pictures import PICTURE_SUFFIXES
from edgerd.errors import DatasetError
from edgerd.paths import is_file, why_missing
from edgerd.redaction import without_secrets

VIDEO_SUFFIXES: Final = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
_UNPACK: Final = {
    ".zip": "unzip {} -d DIR",
    ".tar": "tar -xf {}",
    ".tgz": "tar -xf {}",
    ".gz": "tar -xf {}",
    ".bz2": "tar -xf {}",
    ".xz": "tar -xf {}",
    ".7z": "7z x {}",
    ".rar": "unrar x {}",
}
"""Suffix of an archive to the command that unpacks it."""
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")
"""A URI that went through a Path, which takes one of its slashes away."""


def no_folder(path: Path, layouts: str) -> DatasetError:
    """The error for what is named as a folder of pictures and is none.

    Args:
        path: What was named.
        layouts: The layouts of folders that can be used, for people.
    """
    what, hint = _what_it_is(path)
    return DatasetError(what, expected=layouts, hint=hint)


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES and is_file(path)


def frames_command(source: str) -> str:
    """The command that takes pictures out of a video or from a camera, as one types it."""
    return f"edgerd frames {quote(source)} -o DIR"


def _what_it_is(path: Path) -> tuple[str, str]:
    """What is at the path, one sentence; and what to type next."""
    typed, suffix = quote(str(path)), path.suffix.lower()
    then = ", then name DIR instead"
    if _is_device(path):
        return f"{path} is a device, not a folder of pictures.", f"{frames_command(str(path))} takes some of it{then}."
    if is_video(path):
        return f"{path} is a video.", f"{frames_command(str(path))} takes varied pictures out of it{then}."
    if not is_file(path):
        address = _ADDRESS.fullmatch(str(path))
        if address is None:
            return why_missing(path, "folder"), "Check the path."
        uri = without_secrets(f"{address[1]}://{address[2]}")
        return f"{uri} is the address of a camera.", f"{frames_command(uri)} takes pictures from it{then}."
    if suffix in PICTURE_SUFFIXES:
        folder = quote(str(path.parent))
        one = f"edgerd inspect BUNDLE {typed} judges one picture"
        return f"{path} is one picture.", f"Name the folder that it lies in, {folder}; {one}."
    if suffix in _UNPACK:
        return f"{path} is an archive.", f"Unpack it first, {_UNPACK[suffix].format(typed)}, and name the folder."
    return f"{path} is a file, not a folder.", "Name the folder that the pictures lie in."


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except (OSError, ValueError):
        return False
