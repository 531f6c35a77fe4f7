"""What lies in an archive, counted, and the oldest of it removed."""

from __future__ import annotations

import contextlib
import heapq
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgerd.line.archive.names import is_ok, is_stage, stem_of

_PICTURE = ".png"
_BLOCK = 4096
"""Bytes that a file takes up at least, on most file systems."""
_ABANDONED_S = 600.0
"""A file that was begun so long ago, and is not complete, is not being written any more."""
_COUNT_AGAIN_S = 600.0
"""People delete and move files: after so long the count is taken anew before anything is removed."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """The files of a part: their paths, and the bytes that they take up."""

    paths: tuple[str, ...]
    n_bytes: int


class Stock:
    """The parts in a folder. May be used from any thread.

    Only files that an archive has named are counted and removed: whatever else lies there is somebody else's. Files of
    one name belong together, wherever below the folder a person has put them.

    Args:
        folder: The archive's. It need not be there.

    Raises:
        OSError: A folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counting = threading.Lock()  # what is added meanwhile is not lost
        self._parts: dict[str, _Stored] = {}
        self._oldest: dict[bool, list[str]] = {True: [], False: []}
        self._n_bytes = {True: 0, False: 0}
        self._is_wrong = False
        self._being_written = ""
        self._counted_s = 0.0
        self.count()

    @property
    def n_bytes(self) -> int:
        """Bytes that all parts take up, as far as it is known."""
        return sum(self._n_bytes.values())

    @property
    def n_other_bytes(self) -> int:
        """Bytes that the parts take up which are not OK, as far as it is known."""
        return self._n_bytes[False]

    @property
    def n_parts(self) -> int:
        """How many parts there are, as far as it is known."""
        return len(self._parts)

    def count_where_wrong(self, *, before_removing: bool) -> None:
        """Take the count anew where it is known to be wrong; before something is removed, also where it is old.

        Raises:
            OSError: A folder cannot be read.
        """
        is_old = time.monotonic() - self._counted_s > _COUNT_AGAIN_S
        if self._is_wrong or (before_removing and is_old):
            self.count()

    def count(self) -> None:
        """See what is there, and remove files that were begun and never completed.

        Raises:
            OSError: A folder cannot be read.
        """
        with self._counting:
            self._is_wrong = False  # what is found out meanwhile must not be forgotten
            try:
                found = self._found()
            except OSError:
                self._is_wrong = True
                raise
            oldest: dict[bool, list[str]] = {True: [], False: []}
            n_bytes = {True: 0, False: 0}
            for stem in sorted(found):  # a sorted list is a heap
                oldest[is_ok(stem)].append(stem)
                n_bytes[is_ok(stem)] += found[stem].n_bytes
            with self._lock:
                self._parts, self._oldest, self._n_bytes = found, oldest, n_bytes
            self._counted_s = time.monotonic()

    @contextlib.contextmanager
    def adding(self, stem: str, paths: Iterable[Path], n_bytes: int) -> Iterator[None]:
        """Count a part that is written in the block, once the block has ended well; until then, none of its files.

        Args:
            stem: The name of its files, without suffix.
            paths: Its files.
            n_bytes: What they take up, as `size_on_disk` has it.
        """
        self._being_written = stem
        try:
            yield
            with self._counting:
                self._put(stem, _Stored(tuple(map(str, paths)), n_bytes))
        finally:
            self._being_written = ""

    def remove_oldest(self, *, ok_only: bool) -> int | None:
        """Remove the oldest OK part; where there is none, the oldest of the others.

        Args:
            ok_only: Leave the others alone.

        Returns:
            The bytes that were freed; None where there is no such part. Where somebody has moved or removed the picture
            meanwhile, nothing is: the next count finds out what there is of the part.

        Raises:
            OSError: It cannot be removed.
        """
        taken = self._pop(ok_only)
        if taken is None:
            return None
        stem, part = taken
        pictures = [path for path in part.paths if path.endswith(_PICTURE)]
        others = [path for path in part.paths if not path.endswith(_PICTURE)]
        try:
            # A picture never lies there without its record, so that it goes first.
            freed = [_removed(path) for path in pictures]
            if None in freed:
                self._is_wrong = True
            else:
                freed += [_removed(path) for path in others]
        except OSError:
            self._put(stem, part)
            raise
        return sum(filter(None, freed))

    def _found(self) -> dict[str, _Stored]:
        """The parts that lie there, by their stem."""
        found: dict[str, list[tuple[str, int]]] = {}
        for entry in _files_below(self._folder):
            with contextlib.suppress(FileNotFoundError):  # somebody has removed it in between
                stem = stem_of(entry.name)
                if stem and stem != self._being_written:
                    found.setdefault(stem, []).append((entry.path, size_on_disk(entry.stat().st_size)))
                elif is_stage(entry.name) and abs(time.time() - entry.stat().st_mtime) > _ABANDONED_S:
                    Path(entry.path).unlink()
        return {
            stem: _Stored(tuple(path for path, _ in files), sum(size for _, size in files))
            for stem, files in found.items()
        }

    def _put(self, stem: str, part: _Stored) -> None:
        with self._lock:
            if stem not in self._parts:  # else another thread has counted it a moment ago
                self._parts[stem] = part
                self._n_bytes[is_ok(stem)] += part.n_bytes
                heapq.heappush(self._oldest[is_ok(stem)], stem)

    def _pop(self, ok_only: bool) -> tuple[str, _Stored] | None:
        with self._lock:
            for ok in (True,) if ok_only else (True, False):
                if self._oldest[ok]:
                    stem = heapq.heappop(self._oldest[ok])
                    part = self._parts.pop(stem)
                    self._n_bytes[ok] -= part.n_bytes
                    return stem, part
        return None


def size_on_disk(n_bytes: int) -> int:
    """What a file of so many bytes takes up, whole blocks."""
    return -(-n_bytes // _BLOCK) * _BLOCK


def _files_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file in a folder and in those below it; neither links nor hidden folders are followed.

    Raises:
        OSError: A folder cannot be read.
    """
    todo = [str(folder)]
    while todo:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield entry
                elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    todo.append(entry.path)


def _removed(path: str) -> int | None:
    """Remove a file; the bytes that it took up, None where it was not there.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        n_bytes = os.lstat(path).st_size
        os.unlink(path)  # noqa: PTH108  paths are kept as text, which is smaller
    except (FileNotFoundError, NotADirectoryError):
        return None
    return size_on_disk(n_bytes)
