"""No state of disk or environment ends a question about it with an internal error."""

import os
import shutil
from pathlib import Path

import pytest

from edgerd import paths
from edgerd.errors import StorageError
from edgerd.paths import cache_folder, exists, is_file, is_folder, temporary_folder, why_missing


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


def test_questions_about_a_path_never_raise(tmp_path):
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    (tmp_path / "file").touch()
    for path in (circle, tmp_path / ("x" * 300), tmp_path / "file" / "below", Path("a\0b")):
        assert not any(question(path) for question in (exists, is_file, is_folder))
    assert is_file(tmp_path / "file")
    assert is_folder(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every folder")
def test_a_locked_folder_is_no_missing_one(tmp_path):
    (tmp_path / "locked" / "data").mkdir(parents=True)
    (tmp_path / "locked").chmod(0)
    try:
        assert not exists(tmp_path / "locked" / "data")
        assert "Permission denied" in why_missing(tmp_path / "locked" / "data", "folder")
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_why_something_is_missing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert why_missing(tmp_path / "none", "folder").startswith("There is no folder")
    assert why_missing(tmp_path / "file" / "below", "folder").startswith("There is no folder")
    assert why_missing(tmp_path / "file", "folder").endswith("it is something else.")
    monkeypatch.setattr(Path, "stat", refuse)
    assert why_missing(tmp_path, "folder") == f"{tmp_path} cannot be read: Permission denied."


def test_without_a_home_the_cache_is_nowhere_rather_than_in_the_working_folder(tmp_path, monkeypatch):
    def nobody(_):
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.chdir(tmp_path)
    folder = cache_folder()
    assert folder.is_absolute()
    with pytest.raises(OSError, match="directory"):
        folder.mkdir(parents=True)


def test_a_full_disk_is_named_whatever_the_library_said(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(65536, 65536, 0))
    with pytest.raises(StorageError, match="is full") as caught, temporary_folder():
        raise ValueError("the graph is damaged")
    assert "TMPDIR" in caught.value.hint


def test_with_space_left_an_error_stays_what_it_was():
    with pytest.raises(ValueError, match="damaged"), temporary_folder() as folder:
        raise ValueError("the graph is damaged")
    assert not folder.exists()


def test_no_temporary_folder_at_all(monkeypatch):
    monkeypatch.setattr(paths.tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(StorageError, match="Permission denied"), temporary_folder():
        pass
