"""What must hold of an operation that is killed, cut off from power, or refused by the disk, at each of its calls."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from faults.commands import CommandError
from faults.disk import tree_of, visible_tree_of
from faults.operations import FULL, Operation, refused

LATE = ("good_pictures.html could not be written", "report-pictures could not be written")
"""Errors that come when the rest is done: the page about suspicious pictures, the pictures of an earlier report."""


def names_in(root: Path) -> set[str]:
    """The names in a tree, but for those in a bundle."""
    return {name for name in tree_of(root) if not name.startswith("bundle/")}


def names_left_by(operation: Operation, folder: Path) -> set[str]:
    """The names that an operation leaves when nothing disturbs it."""
    root = operation.begun_in(folder)
    operation.run(root)
    return names_in(root)


def alike(root: Path) -> dict[str, str]:
    """What of a tree the next command may look at; the log of a search is one, however long."""
    return {name: "" if ".search-" in name else content for name, content in visible_tree_of(root).items()}


def check_what_is_left(operation: Operation, whole: set[str], trees: Iterable[tuple[str, Path]]) -> list[str]:
    """Each tree is in a state; in one of each set of names, a second run succeeds and leaves nothing but its results.

    No lock refuses it then, and no litter grows.
    """
    states, tried = [], set()
    for call, root in trees:
        states.append(operation.state(root))
        assert states[-1] in ("old", "going", "new"), call
        names = (states[-1], *sorted(visible_tree_of(root)))
        if names not in tried:
            tried.add(names)
            operation.run(root)
            assert operation.state(root) == "new", call
            assert names_in(root) == whole, call
        shutil.rmtree(root)
    return states


def check_every_refusal(operation: Operation, whole: set[str], tmp_path: Path, number: int) -> list[CommandError]:
    """Exit code 1 and the true cause, the old state, nothing left over; and then the command succeeds.

    Returns:
        The errors that there were.
    """
    cause = "the disk is full" if number == FULL else os.strerror(number)
    errors = []
    for call, root, run in refused(operation, tmp_path / "trees", number, each=False):
        before, error = operation.state(root), None
        try:
            run()
        except CommandError as caught:
            error = caught
        state = operation.state(root)
        if error is None:
            assert state == "new", call
        else:
            errors.append(error)
            assert error.exit_code == 1, call
            assert f"could not be written: {cause}." in error.err, call
            assert str(root) in error.err, call
            assert ("Free some space" in error.err) is (number == FULL), call
            assert ".draft" not in error.err, call
            assert state in (before, "going") or any(late in error.err for late in LATE), call
            if number == FULL:
                assert not [name for name in names_in(root) if name.endswith((".partial", ".draft"))], call
        operation.run(root)
        assert operation.state(root) == "new", call
        assert names_in(root) == whole, call
    return errors
