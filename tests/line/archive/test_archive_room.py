"""Room that is made for something more important, from another thread, at any moment."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from archive_parts import NG, OK, PART, archive, files, filled, frames, part, pictures, used_bytes

from edgerd.errors import StorageError


def test_a_part_that_is_being_written_is_neither_counted_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outbox asks for room while half of an OK part is on the disk."""
    kept = filled(tmp_path, "oo")
    pictures(tmp_path)[0].rename(tmp_path / pictures(tmp_path)[0].name)  # so that the count is wrong, and is taken anew
    rename = Path.replace

    def make_room_and_rename(path: Path, target: Path) -> Path:
        if target.suffix == ".png":
            kept.make_room()
            assert kept.make_room()
            assert kept.n_parts == 0
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", make_room_and_rename)
    kept.take(part(OK, 2))
    assert frames(tmp_path) == [2]
    assert len(files(tmp_path)) == 3
    assert kept.n_bytes == used_bytes(tmp_path) == PART


def test_room_is_made_of_ok_parts_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = filled(tmp_path, "ogooon")
    monkeypatch.setattr("edgerd.line.archive.archive._ROOM_BYTES", PART + 1)
    assert kept.make_room()
    assert frames(tmp_path) == [1, 3, 4, 5]
    assert kept.make_room()
    assert frames(tmp_path) == [1, 5]
    assert not kept.make_room()
    assert kept.n_bytes == used_bytes(tmp_path)


def test_room_is_made_only_where_it_helps(tmp_path: Path) -> None:
    kept = filled(tmp_path, "oo")
    assert not kept.make_room(beside=Path("/proc"))
    assert frames(tmp_path) == [0, 1]
    assert kept.make_room(beside=tmp_path)


def test_an_outbox_that_asks_for_room_all_the_time_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerd.line.archive.stock._COUNT_AGAIN_S", 0.0)
    monkeypatch.setattr("edgerd.line.archive.archive._ROOM_BYTES", 1)
    kept, is_over = archive(tmp_path, 10 * PART), threading.Event()

    def ask() -> None:
        while not is_over.wait(0.001):
            kept.make_room()

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(100):
        kept.take(part((OK, NG, OK)[number % 3], number))
    is_over.set()
    asking.join()
    assert kept.n_bytes == used_bytes(tmp_path) <= 10 * PART
    assert len(files(tmp_path)) == 3 * kept.n_parts == 3 * len(pictures(tmp_path))


def test_room_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = filled(tmp_path, "oo")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(StorageError, match="Permission denied"):
            kept.make_room()
        kept.quota_bytes = PART
        with pytest.raises(StorageError, match="Permission denied"):
            kept.take(part(NG, 2))
    assert kept.n_parts == 2
    kept.take(part(NG, 2))
    assert frames(tmp_path) == [2]
