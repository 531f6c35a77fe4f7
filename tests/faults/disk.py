"""A disk that is watched: every call that changes it, and what a kill or a power cut at that call would leave.

`watch(root, before_call)` tells `before_call` of each call on a path below `root`, just before the operating system
gets it. What a process that is killed there leaves is the tree as it stands at that moment: whatever was written before
is in the operating system's hands, nothing that follows happens, and locks are gone. So a copy of the tree, taken at
each call of a single run, gives what as many killed runs would give. An `OSError` that `before_call` raises is what the
call fails with.

Python's audit hooks see the calls that change names, whoever makes them (pathlib, shutil, tempfile). They do not see
`fsync`, which is watched in its one name, nor single writes: a file that is being written shows in its half when it is
synced. `test_real_kills` has the same with real signals at real system calls.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_RANDOM = re.compile(r"\.([0-9a-f]{8}|[a-z0-9_]{8})\.")
"""What is new in the name of a stage each time."""
_UNREAD = re.compile(r"\.(partial|draft)$")
_INSIDE_UNREAD = re.compile(r"\.(?P<name>[^/]+?)(\.\*)?\.(?P<kind>partial|draft|old)/")
"""In a folder that is not in its place yet, or no longer."""


@dataclass(frozen=True)
class Call:
    """A call that changes the disk.

    Attributes:
        kind: "open", "rename", "remove", "mkdir", "rmdir", "link", "truncate", "chmod" or "fsync".
        path: What it is about; of two names the one that is new.
    """

    kind: str
    path: Path

    @property
    def takes_space(self) -> bool:
        """Whether a full disk may refuse it; it must still let things go."""
        return self.kind in ("open", "mkdir", "link", "fsync")

    @property
    def pattern(self) -> str:
        """The same for calls about files that differ in their numbers alone."""
        return re.sub(r"\d+", "#", f"{self.kind} {_RANDOM.sub('.*.', str(self.path))}")


_watchers: list[tuple[Path, Callable[[Call], None]]] = []
_EVENTS = {
    # event -> the arguments that name the path and the folder it is relative to
    "os.rename": ("rename", 1, 3),
    "os.remove": ("remove", 0, 1),
    "os.mkdir": ("mkdir", 0, 2),
    "os.rmdir": ("rmdir", 0, 1),
    "os.link": ("link", 1, 3),
    "os.truncate": ("truncate", 0, None),
    "os.chmod": ("chmod", 0, 2),
}


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITING:
            _tell("open", path, -1)
    elif event in _EVENTS:
        kind, place, folder = _EVENTS[event]
        _tell(kind, arguments[place], -1 if folder is None else arguments[folder])


def _tell(kind: str, path: Any, folder: int) -> None:
    if path is None:
        return
    root, before_call = _watchers[-1]
    if isinstance(path, int):
        absolute = _path_of(path)
    else:
        absolute = os.path.join(_path_of(folder) if folder >= 0 else os.getcwd(), os.fsdecode(path))  # noqa: PTH109, PTH118
    found = Path(os.path.normpath(absolute))
    if root not in (found, *found.parents):
        return
    _watchers.append((Path("/nowhere"), before_call))  # what the test itself does meanwhile is not told
    try:
        before_call(Call(kind, found))
    finally:
        _watchers.pop()


def _path_of(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115


sys.addaudithook(_hook)  # cannot be taken away again; without a watcher it does nothing


@contextmanager
def watch(root: Path, before_call: Callable[[Call], None]) -> Iterator[None]:
    """Tell `before_call` of each call in the block that changes something at or below `root`."""
    root, really_fsync = root.resolve(), os.fsync

    def fsync(handle: Any) -> None:
        _tell("fsync", handle if isinstance(handle, int) else handle.fileno(), -1)
        really_fsync(handle)

    os.fsync = fsync
    _watchers.append((root, before_call))
    try:
        yield
    finally:
        _watchers.pop()
        os.fsync = really_fsync


def tree_of(root: Path) -> dict[str, str]:
    """What is below a folder: names, without what is random in them, and what each is or holds."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = _RANDOM.sub(".*.", path.relative_to(root).as_posix())
        content = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[name if name not in found else f"{name} and another"] = content
    return found


def visible_tree_of(root: Path) -> dict[str, str]:
    """The same, without what nothing reads: of what is being written or removed only that it is there."""
    found = tree_of(root)

    def is_read(name: str) -> bool:
        inside = _INSIDE_UNREAD.match(name)
        return not inside or (inside["kind"] == "old" and inside["name"] not in found)

    return {name: "" if _UNREAD.search(name) else content for name, content in found.items() if is_read(name)}


@dataclass(eq=False)
class _Node:
    """A file or folder as the disk has it: its content, or its entries, when it was last synced."""

    content: bytes = b""
    entries: dict[str, _Node] | None = None


@dataclass
class Platter:
    """What of a tree has reached the disk, so that it is there after a power cut.

    A file's content has once the file was synced, a folder's entries once the folder was; removals have at once.
    `least` writes out what there is if nothing else has arrived; `names_first` if every name has arrived, and no
    content that was not synced.
    """

    root: Path
    _nodes: dict[int, _Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder, _, files in os.walk(self.root, topdown=False):
            for name in files:
                self.synced(Path(folder) / name)
            self.synced(Path(folder))

    def synced(self, path: Path) -> None:
        """A file or folder is on the disk as it now is."""
        node = self._node(path)
        if path.is_dir():
            node.entries = {entry.name: self._node(entry) for entry in path.iterdir()}
        else:
            node.content = path.read_bytes()

    def removed(self, path: Path) -> None:
        """A name is about to be removed, which reaches the disk at once: before what was done earlier, at the worst."""
        if path.is_dir() and any(path.iterdir()):
            return  # a folder that is not empty stays
        entries = self._node(path.parent).entries
        if entries is not None:
            entries.pop(path.name, None)
        self.makes_way(path)

    def makes_way(self, path: Path) -> None:
        """Something else is about to get a name; the number of what had it may be given to another file."""
        if path.is_dir() or (path.exists() and path.stat().st_nlink == 1):
            self._nodes.pop(path.stat().st_ino, None)

    def least(self, target: Path) -> None:
        """Write out what was synced alone."""
        self._write(self._node(self.root), target)

    def names_first(self, target: Path) -> None:
        """Write out every name, with the content that was synced."""
        shutil.copytree(self.root, target, copy_function=self._copy_synced)

    def _copy_synced(self, source: str, target: str) -> None:
        Path(target).write_bytes(self._node(Path(source)).content)

    def _write(self, node: _Node, target: Path) -> None:
        if node.entries is None:
            target.write_bytes(node.content)
            return
        target.mkdir()
        for name, entry in node.entries.items():
            self._write(entry, target / name)

    def _node(self, path: Path) -> _Node:
        number = path.stat().st_ino
        if number not in self._nodes:
            self._nodes[number] = _Node(entries={} if path.is_dir() else None)
        return self._nodes[number]
