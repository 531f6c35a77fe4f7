"""Files, folders and bundles that are replaced: at every call, killed, cut off from power, or refused by the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bundle_parts import FILES, manifest_of

from edgerd.bundle.bundle import Bundle, save_bundle
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.errors import StorageError
from edgerd.storage import (
    finish_replacing,
    only_writer_of,
    replaced_directory,
    replaced_file,
    storage_errors,
    write_durably,
)
from faults.disk import tree_of
from faults.operations import FAULTY, FULL, Operation, killed, refused, without_power


def replace_file(root):
    with storage_errors(root / "a.bin"), replaced_file(root / "a.bin") as part:
        part.write_bytes(b"new")


def state_of_file(root):
    return (root / "a.bin").read_text() if (root / "a.bin").exists() else "old"


def replace_folder(root):
    with storage_errors(root / "folder"), replaced_directory(root / "folder") as stage:
        write_durably(stage / "a" / "b.bin", b"new")
        write_durably(stage / "c.bin", b"new")


def state_of_folder(root):
    finish_replacing(root / "folder")
    if not (root / "folder").exists():
        return "old"
    found = {path.read_text() for path in (root / "folder").rglob("*") if path.is_file()}
    assert len(found) == 1
    assert len(list((root / "folder").rglob("*.bin"))) == 2
    return found.pop()


def begin_a_folder(root):
    """As a training begins: a folder is made and locked, and something is put into it."""
    with storage_errors(root / "run"), only_writer_of(root / "run"):
        replace_file(root / "run")


def save_again(root):
    base = Bundle.open(root / "bundle") if (root / "bundle").exists() else None
    files = FILES | {GRAPH_FILE: b"another graph", "pictures/added/0.png": b"new"}
    manifest = manifest_of(files)
    training = manifest.training.model_copy(update={"seed": 2})
    kept = base.manifest.files if base else {}
    new_files = {name: content for name, content in files.items() if name not in kept or name == GRAPH_FILE}
    save_bundle(root / "bundle", manifest.model_copy(update={"training": training}), new_files, base=base)


def state_of_bundle(root):
    finish_replacing(root / "bundle")
    if not (root / "bundle").exists():
        return "old"
    bundle = Bundle.open(root / "bundle")
    bundle.verify()
    return {1: "old", 2: "new"}[bundle.manifest.training.seed]


@pytest.fixture(params=["a file", "a new file", "a folder", "a new folder", "a run", "a bundle", "a new bundle"])
def operation(request, tmp_path):
    start: Path = tmp_path / "start"
    start.mkdir()
    match request.param:
        case "a file":
            (start / "a.bin").write_text("old")
            return Operation(start, replace_file, state_of_file)
        case "a new file":
            return Operation(start, replace_file, state_of_file)
        case "a folder":
            (start / "folder" / "a").mkdir(parents=True)
            (start / "folder" / "a" / "b.bin").write_text("old")
            (start / "folder" / "c.bin").write_text("old")
            return Operation(start, replace_folder, state_of_folder)
        case "a new folder":
            return Operation(start, replace_folder, state_of_folder)
        case "a run":
            return Operation(start, begin_a_folder, lambda root: state_of_file(root / "run"))
        case "a bundle":
            save_bundle(start / "bundle", manifest_of(FILES), FILES)
            return Operation(start, save_again, state_of_bundle)
    return Operation(start, save_again, state_of_bundle)


@pytest.fixture
def whole(operation, tmp_path):
    """The names that the operation leaves when nothing disturbs it."""
    root = operation.begun_in(tmp_path / "undisturbed")
    operation.run(root)
    return set(tree_of(root))


def assert_it_can_be_done_again(operation, root, whole):
    """A second run succeeds and leaves what an undisturbed one leaves: no lock that refuses, no litter."""
    operation.run(root)
    assert operation.state(root) == "new"
    assert set(tree_of(root)) == whole


def test_killed_at_any_call(operation, whole, tmp_path):
    states = []
    for call, root in killed(operation, tmp_path / "trees"):
        states.append(operation.state(root))
        assert states[-1] in ("old", "new"), call
        assert_it_can_be_done_again(operation, root, whole)
    assert states == sorted(states, reverse=True)  # never back again
    assert len(states) > 3


def test_power_cut_at_any_call(operation, whole, tmp_path):
    states = []
    for call, root in without_power(operation, tmp_path / "trees"):
        states.append(operation.state(root))
        assert states[-1] in ("old", "new"), call
        assert_it_can_be_done_again(operation, root, whole)
    assert states[-1] == "new"  # what was said to be done is done


@pytest.mark.parametrize("number", [FULL, FAULTY], ids=os.strerror)
def test_refused_at_any_call(operation, whole, tmp_path, number):
    cause = "the disk is full" if number == FULL else os.strerror(number)
    errors = []
    for call, root, run in refused(operation, tmp_path / "trees", number):
        before, error = tree_of(root), None
        try:
            run()
        except StorageError as caught:
            error = caught
        if error is None:
            assert operation.state(root) == "new", call
        else:
            errors.append(error)
            assert f"could not be written: {cause}." in error.what, call
            assert str(root) in error.what, call
            assert tree_of(root) == before, call
        assert_it_can_be_done_again(operation, root, whole)
    assert len(errors) > 3
