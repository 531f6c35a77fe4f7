"""A save that is cut off, meets a full disk or another command leaves the old bundle or the new one."""

import contextlib
import errno
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from bundle_parts import FILES, manifest_of

from edgerd.bundle.bundle import Bundle, save_bundle
from edgerd.bundle.manifest import (
    GRAPH_FILE,
)
from edgerd.errors import BundleError, StorageError


class Killed(BaseException):
    """Stands for the end of the process: nothing that follows has an effect, not even cleaning up."""


STEPS = [
    (Path, "mkdir"),
    (Path, "open"),
    (Path, "rename"),
    (Path, "chmod"),
    (os, "link"),
    (os, "fsync"),
    (shutil, "copyfile"),
    (shutil, "rmtree"),
    (tempfile, "mkdtemp"),
]


def break_at(monkeypatch, step, failure, *, for_good):
    """Let the step-th action on the disk fail, and all after it too where the failure is for good."""
    n_actions = 0

    def breaking(action):
        def call(*arguments, **options):
            nonlocal n_actions
            n_actions += 1
            if n_actions == step + 1 or (for_good and n_actions > step):
                if action is rmtree and n_actions == step + 1:
                    remove_half(arguments[0])
                raise failure
            return action(*arguments, **options)

        return call

    rmtree = shutil.rmtree
    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, breaking(getattr(owner, name)))
    return lambda: n_actions > step


def remove_half(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    for file in files[::2]:
        file.unlink()


def save_with_seed(path, seed):
    """A first bundle, or the one at `path` with another seed and a graph that is written anew."""
    base = Bundle.open(path) if path.exists() else None
    manifest = manifest_of(FILES)
    training = manifest.training.model_copy(update={"seed": seed})
    files = {GRAPH_FILE: FILES[GRAPH_FILE]} if base else FILES
    return lambda: save_bundle(path, manifest.model_copy(update={"training": training}), files, base=base)


def saves_cut_off(path, seed, failure, *, for_good):
    """Try to save, broken at the first action, at the second, ... until it goes through; yields after each try."""
    for step in range(1000):
        save = save_with_seed(path, seed)
        with pytest.MonkeyPatch.context() as monkeypatch:
            broke = break_at(monkeypatch, step, failure, for_good=for_good)
            with contextlib.suppress(Killed, KeyboardInterrupt, StorageError, BundleError):
                save()
            if not broke():
                return
        yield step


class TestInterrupted:
    @pytest.mark.parametrize("failure", [Killed(), KeyboardInterrupt()], ids=["killed", "Ctrl-C"])
    def test_at_every_step_the_old_or_the_new_one_opens(self, tmp_path, failure):
        path = tmp_path / "bundle"
        save_with_seed(path, 1)()
        seen = set()
        for _ in saves_cut_off(path, 2, failure, for_good=isinstance(failure, Killed)):
            opened = Bundle.open(path)
            assert opened.verify() == len(FILES)
            seen.add(opened.manifest.training.seed)
            save_with_seed(path, 1)()
        assert seen == {1, 2}
        assert Bundle.open(path).manifest.training.seed == 2

    def test_twice_in_a_row(self, tmp_path):
        """The first save was cut off and left the old bundle aside; the second one must not remove it as rubbish."""
        path = tmp_path / "bundle"
        save_with_seed(path, 1)()
        path.rename(tmp_path / ".bundle.old")
        for _ in saves_cut_off(path, 2, Killed(), for_good=True):
            assert Bundle.open(path).verify() == len(FILES)
            shutil.rmtree(tmp_path / ".bundle.old", ignore_errors=True)
            path.rename(tmp_path / ".bundle.old")

    def test_the_first_save_leaves_nothing_or_all(self, tmp_path):
        path = tmp_path / "bundle"
        for _ in saves_cut_off(path, 2, KeyboardInterrupt(), for_good=False):
            if path.exists():
                assert Bundle.open(path).verify() == len(FILES)
                shutil.rmtree(path)
            assert not any(entry.name.endswith(".partial") for entry in tmp_path.iterdir())

    def test_what_a_killed_save_had_begun_is_removed_by_the_next(self, bundle):
        begun, others = (bundle.path.with_name(f".{name}.k1ll3d.partial") for name in ("bundle", "bundle2"))
        for folder in (begun, others):
            (folder / "pictures").mkdir(parents=True)
        bundle.save_with(bundle.manifest)
        assert not begun.exists()
        assert others.exists()


class TestTwoAtOnce:
    def test_what_another_command_has_written_meanwhile_is_not_undone(self, bundle):
        ours = Bundle.open(bundle.path)
        theirs = save_with_seed(bundle.path, 2)()
        with pytest.raises(BundleError, match="changed by another command"):
            ours.save_with(ours.manifest, {"teacher.txt": b"new"})
        assert Bundle.open(bundle.path).manifest == theirs.manifest
        assert Bundle.open(bundle.path).verify() == len(FILES)

    def test_opening_in_the_middle_of_a_save_waits_and_does_not_disturb_it(self, bundle, monkeypatch):
        really_rename, opened = Path.rename, []

        def rename(path, target):
            really_rename(path, target)
            if path == bundle.path:
                reader.start()
                reader.join(0.2)

        reader = threading.Thread(target=lambda: opened.append(Bundle.open(bundle.path)))
        monkeypatch.setattr(Path, "rename", rename)
        save_with_seed(bundle.path, 2)()
        reader.join()
        assert opened[0].manifest.training.seed == 2


class TestDiskFull:
    def test_at_every_step_the_old_or_the_new_one_opens(self, tmp_path):
        path = tmp_path / "bundle"
        save_with_seed(path, 1)()
        for _ in saves_cut_off(path, 2, OSError(errno.ENOSPC, "No space left on device"), for_good=False):
            assert Bundle.open(path).verify() == len(FILES)

    def test_nothing_more_can_be_written(self, bundle, monkeypatch):
        really_open = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda self, mode="r", *more: really_open(Path("/dev/full") if "w" in mode else self, mode, *more),
        )
        with pytest.raises(StorageError, match="the disk is full") as caught:
            bundle.save_with(bundle.manifest, {"engines/e.bin": b"x" * 10_000})
        monkeypatch.undo()
        assert caught.value.exit_code == 1
        assert "unchanged" in str(caught.value)
        assert Bundle.open(bundle.path).manifest == bundle.manifest
        assert bundle.verify() == len(FILES)
        assert [entry.name for entry in bundle.path.parent.iterdir()] == ["bundle"]

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="could not be written"):
            save_bundle(tmp_path / "file" / "bundle", manifest_of(FILES), FILES)

    def test_opening_where_the_old_one_cannot_be_brought_back(self, bundle, monkeypatch):
        bundle.path.rename(bundle.path.with_name(".bundle.old"))

        def refuse(*_):
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(Path, "rename", refuse)
        with pytest.raises(StorageError, match="Read-only file system"):
            Bundle.open(bundle.path)
