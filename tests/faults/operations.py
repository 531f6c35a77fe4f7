"""An operation, and what it leaves when it is killed, when the power is cut, or when the disk refuses, at each call."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults.disk import Call, Platter, tree_of, watch

FULL, FAULTY = errno.ENOSPC, errno.EIO


@dataclass(frozen=True)
class Operation:
    """Something that changes a tree from one whole state to another.

    Attributes:
        start: The tree before it; it is copied, never changed.
        run: Does it, in a copy.
        state: Names the state that a copy is in, read by the product itself; raises where it is in none.
    """

    start: Path
    run: Callable[[Path], object]
    state: Callable[[Path], str]

    def begun_in(self, folder: Path) -> Path:
        """A copy of the tree before it, at `folder`."""
        return Path(shutil.copytree(self.start, folder))

    def calls(self, folder: Path) -> list[Call]:
        """Every call it makes, from one run in a new folder."""
        found: list[Call] = []
        root = self.begun_in(folder)
        with watch(root, found.append):
            self.run(root)
        return found


def killed(
    operation: Operation, folder: Path, *, alike: Callable[[Path], object] = tree_of
) -> Iterator[tuple[str, Path]]:
    """What it leaves if it is killed before a call, for each: the call, and a tree that may be changed.

    A file that is about to be synced is shown whole and in its half. Of trees that are `alike` one comes, by default
    of those that are the same.
    """
    seen: set[str] = set()
    found: list[tuple[str, Path]] = []
    root = operation.begun_in(folder / "running")

    def keep(call: Call, torn: bool) -> None:
        copy = folder / f"killed-{len(found)}"
        shutil.copytree(root, copy)
        half = copy / call.path.relative_to(root)
        if torn:
            os.truncate(half, half.stat().st_size // 2)
        digest = str(alike(copy))
        if digest in seen:
            shutil.rmtree(copy)
            return
        seen.add(digest)
        found.append((f"{call.kind} {call.path.name}{', torn' if torn else ''}", copy))

    def before_call(call: Call) -> None:
        keep(call, torn=False)
        if call.kind == "fsync" and call.path.is_file():
            keep(call, torn=True)

    with watch(root, before_call):
        operation.run(root)
    yield from found


def without_power(
    operation: Operation, folder: Path, *, alike: Callable[[Path], object] = tree_of
) -> Iterator[tuple[str, Path]]:
    """What it leaves if the power is cut before a call, for each: the call, and a tree that may be changed.

    Two trees of each moment: what was synced alone, and every name with the content that was synced. Trees that are the
    `alike` come once; the last one is what the power leaves when it is cut after all that.
    """
    seen: set[str] = set()
    found: list[tuple[str, Path]] = []
    root = operation.begun_in(folder / "running")
    platter = Platter(root)

    def keep(call: Call, write: Callable[[Path], None], what: str) -> None:
        copy = folder / f"cut-{len(found)}"
        write(copy)
        digest = str(alike(copy))
        if digest in seen:
            shutil.rmtree(copy)
            return
        seen.add(digest)
        found.append((f"{call.kind} {call.path.name}, {what}", copy))

    def before_call(call: Call) -> None:
        keep(call, platter.least, "what was synced alone")
        keep(call, platter.names_first, "names first")
        if call.kind == "fsync":
            platter.synced(call.path)
        elif call.kind in ("remove", "rmdir"):
            platter.removed(call.path)
        elif call.kind == "rename":
            platter.makes_way(call.path)

    with watch(root, before_call):
        operation.run(root)
    seen.clear()
    keep(Call("end", root), platter.least, "what was synced alone")
    yield from found


def refused(
    operation: Operation, folder: Path, number: int, *, each: bool = True
) -> Iterator[tuple[str, Path, Callable[[], object]]]:
    """The operation with one call after the other refused: the call, a tree, and what runs the operation in it.

    Args:
        operation: What to run.
        folder: For the trees.
        number: `FULL`: from that call on, each that takes space is refused. `FAULTY`: that call alone is.
        each: False for the first alone of several calls about files that differ in their numbers.
    """
    calls, seen = operation.calls(folder / "counted"), set()
    for step, call in enumerate(calls):
        if (number == FULL and not call.takes_space) or (not each and call.pattern in seen):
            continue
        seen.add(call.pattern)
        root = operation.begun_in(folder / f"refused-{step}")
        yield f"{call.kind} {call.path.name}", root, partial(_run_refused, operation, root, step, number)
        shutil.rmtree(root)


def _run_refused(operation: Operation, root: Path, step: int, number: int) -> object:
    n_calls = 0

    def before_call(call: Call) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls == step + 1 or (number == FULL and n_calls > step and call.takes_space):
            raise OSError(number, os.strerror(number), str(call.path))

    with watch(root, before_call):
        return operation.run(root)
