"""An archive on a disk that is full, failing, read-only or gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from archive_parts import NG, NO_DECISION, OK, archive, files, frames, part

from edgerd.errors import InputError, StorageError
from edgerd.line.archive import Archive


class Disk:
    """Fails at the n-th of the calls that change it."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, fails_at: int, number: int = errno.ENOSPC, times: int = 1
    ) -> None:
        self.n_calls = 0
        for name in ("mkdir", "replace", "open"):
            original = getattr(Path, name)
            monkeypatch.setattr(Path, name, self._failing(original, fails_at, number, times))

    def _failing(self, original: Any, fails_at: int, number: int, times: int) -> Any:
        def call(path: Path, *args: Any, **keywords: Any) -> Any:
            is_reading = original.__name__ == "open" and "w" not in (args[0] if args else keywords.get("mode", "r"))
            if not is_reading:
                self.n_calls += 1
                if fails_at <= self.n_calls < fails_at + times:
                    raise OSError(number, os.strerror(number), str(path))
            return original(path, *args, **keywords)

        return call


def n_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many calls it takes to keep the first part; the last one gives the picture its name."""
    with monkeypatch.context() as patch:
        kept, disk = archive(folder), Disk(patch, fails_at=-1)
        kept.take(part(NG))
    return disk.n_calls


def test_whichever_write_fails_nothing_is_left_and_the_next_part_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_changes(tmp_path / "whole", monkeypatch)
    assert n >= 15  # a folder, a file and a name for each file of the part, and for the two marks
    for fails_at in range(1, n + 1):
        folder = tmp_path / str(fails_at)
        kept = archive(folder)
        with monkeypatch.context() as patch:
            Disk(patch, fails_at)
            with pytest.raises(StorageError, match="the disk is full"):
                kept.take(part(NG, 1))
        assert files(folder) == []
        assert kept.n_bytes == 0
        kept.take(part(NG, 2))
        assert frames(folder) == [2]


def test_on_a_full_disk_the_oldest_ok_parts_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = archive(tmp_path)
    for number, verdict in enumerate([NG, OK, OK, OK]):
        kept.take(part(verdict, number))
    monkeypatch.setattr("edgerd.line.archive.archive._ROOM_BYTES", 1)
    Disk(monkeypatch, 5)
    kept.take(part(NG, 4))
    assert frames(tmp_path) == [0, 2, 3, 4]


def test_on_a_full_disk_without_ok_parts_old_ng_pictures_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = archive(tmp_path)
    kept.take(part(NG, 0))
    kept.take(part(NO_DECISION, 1))
    Disk(monkeypatch, 5, times=10_000)
    with pytest.raises(StorageError, match="the disk is full"):
        kept.take(part(NG, 2))
    assert frames(tmp_path) == [0, 1]


def test_other_errors_of_a_disk_cost_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = archive(tmp_path)
    kept.take(part(OK, 0))
    Disk(monkeypatch, 5, errno.EIO)
    with pytest.raises(StorageError, match="Input/output error"):
        kept.take(part(NG, 1))
    assert frames(tmp_path) == [0]


def test_what_cannot_be_taken_back_is_with_the_next_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that first fails to rename and then to remove leaves files, but not for long."""
    n, folder = n_changes(tmp_path / "whole", monkeypatch), tmp_path / "archive"
    kept = archive(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        Disk(patch, n, errno.EIO)
        with pytest.raises(StorageError):
            kept.take(part(NG, 1))
    assert [Path(file).suffix for file in files(folder)] == [".jpg", ".json", ".partial"]
    kept.take(part(NG, 2))
    assert kept.n_parts == 1
    assert frames(folder) == [2]
    assert len(files(folder)) == 3


def test_a_folder_that_may_not_be_written_is_said_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(StorageError, match="could not be written: Permission denied"):
        archive(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said_at_the_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        archive(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        archive(tmp_path / "file")


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    kept = archive(folder)
    kept.take(part(NG, 1))
    folder.rename(tmp_path / "elsewhere")
    kept.take(part(NG, 2))
    assert frames(folder) == [2]


@pytest.mark.parametrize(
    ("quota", "share"), [(0, 0.5), (-1, 0.5), (float("nan"), 0.5), (1, -0.1), (1, 1.1), (1, float("nan"))]
)
def test_limits_that_are_none_are_refused(tmp_path: Path, quota: float, share: float) -> None:
    with pytest.raises(InputError):
        Archive(tmp_path, quota, share)


def test_a_disk_that_was_full_for_a_while_is_told_of_once_and_the_archive_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = archive(tmp_path)
    with monkeypatch.context() as patch:
        Disk(patch, 1, times=10_000)
        for number in range(3):
            with pytest.raises(StorageError):
                kept.take(part(NG, number))
    for number in range(3, 6):
        kept.take(part(NG, number))
    assert frames(tmp_path) == [3, 4, 5]
