"""What goes first when space is short, and what is never touched."""

from __future__ import annotations

import math
import os
import random
import shutil
import time
from pathlib import Path

import pytest
from archive_parts import NG, OK, PART, archive, bgr, files, filled, frames, part, pictures, used_bytes

from edgerd.errors import StorageError
from edgerd.line.archive import Archive


def test_the_oldest_ok_goes_first_then_the_oldest_of_the_others(tmp_path: Path) -> None:
    kept = filled(tmp_path, "gogog", 5 * PART)
    left = []
    for number in range(5, 10):
        kept.take(part(NG, number))
        left.append(frames(tmp_path))
    assert left == [[0, 2, 3, 4, 5], [0, 2, 4, 5, 6], [2, 4, 5, 6, 7], [4, 5, 6, 7, 8], [5, 6, 7, 8, 9]]
    assert kept.n_bytes == used_bytes(tmp_path) == 5 * PART


def test_no_ng_goes_for_an_ok(tmp_path: Path) -> None:
    kept = filled(tmp_path, "ogg", 3 * PART)
    kept.take(part(OK, 3))
    assert frames(tmp_path) == [1, 2, 3]
    kept.take(part(NG, 4))
    kept.take(part(OK, 5))
    assert frames(tmp_path) == [1, 2, 4]


def test_an_ok_part_without_place_costs_no_other_ok_part(tmp_path: Path) -> None:
    kept = filled(tmp_path, "gog", 3 * PART)
    kept.take(part(OK, 3, data=bgr(3, 60, 80)))  # larger than a small part
    assert frames(tmp_path) == [0, 1, 2]


def test_the_order_is_that_of_the_captures(tmp_path: Path) -> None:
    """A camera whose clock was set back, or two whose pictures come late."""
    kept = archive(tmp_path, 2 * PART)
    for number, captured_at in enumerate([2000.0, 1000.0, 3000.0]):
        kept.take(part(NG, number, captured_at=captured_at))
    assert frames(tmp_path) == [0, 2]


def test_a_part_that_is_larger_than_the_quota_is_said_and_removes_nothing(tmp_path: Path) -> None:
    kept = filled(tmp_path, "og", 2 * PART)
    with pytest.raises(StorageError, match="larger than the whole archive") as error:
        kept.take(part(NG, 2, data=bgr(2, 200, 200)))
    assert error.value.hint == "Raise the quota of the archive."
    assert frames(tmp_path) == [0, 1]


def test_a_quota_can_be_changed_meanwhile(tmp_path: Path) -> None:
    kept = filled(tmp_path, "oooog")
    kept.quota_bytes = 2 * PART
    kept.take(part(OK, 5))
    assert frames(tmp_path) == [4, 5]
    kept.quota_bytes = 100 * PART
    kept.take(part(OK, 6))
    assert frames(tmp_path) == [4, 5, 6]


def test_what_was_there_before_the_start_counts(tmp_path: Path) -> None:
    before = filled(tmp_path, "ogn")
    now = archive(tmp_path)
    assert (now.n_parts, now.n_bytes) == (3, used_bytes(tmp_path)) == (before.n_parts, before.n_bytes)
    assert archive(tmp_path, PART).n_parts == 1
    assert frames(tmp_path) == [2]


def test_a_quota_that_became_smaller_than_a_part_holds_for_what_there_is(tmp_path: Path) -> None:
    kept = filled(tmp_path, "gg")
    kept.quota_bytes = PART - 1
    with pytest.raises(StorageError, match="larger than the whole archive"):
        kept.take(part(NG, 2))
    assert files(tmp_path) == []


def test_files_of_others_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    good = tmp_path / "cam/part/train/good"
    good.mkdir(parents=True)
    for name in ("001.png", "20260105T080042-000000Z.png", "notes.json", ".hidden.png", "archive.json"):
        (good / name).write_bytes(bytes(10_000))
    kept = filled(tmp_path, "oo", PART)
    assert kept.n_bytes == PART
    kept.make_room()
    assert kept.n_parts == 0
    assert len([*good.iterdir()]) == 5


def test_a_picture_that_a_person_has_sorted_keeps_its_rank_and_goes_with_its_record(tmp_path: Path) -> None:
    """A false alarm among the good pictures is still worth more than what the machine found good anyway."""
    filled(tmp_path, "go")
    false_alarm = pictures(tmp_path)[0]
    false_alarm.rename(tmp_path / "cam/part/train/good" / false_alarm.name)
    kept = archive(tmp_path, 2 * PART)
    kept.take(part(NG, 2))
    assert frames(tmp_path) == [0, 2]
    kept.take(part(NG, 3))
    assert frames(tmp_path) == [2, 3]
    assert len(files(tmp_path)) == 6


def test_what_is_sorted_while_it_runs_is_counted_where_it_is(tmp_path: Path) -> None:
    kept = filled(tmp_path, "gg", 2 * PART)
    defects = tmp_path / "cam/part/test/scratch"
    defects.mkdir()
    for picture in pictures(tmp_path):
        picture.rename(defects / picture.name)
    for number in range(2, 6):
        kept.take(part(NG, number))
    assert frames(tmp_path) == [4, 5]
    assert kept.n_bytes == used_bytes(tmp_path) == 2 * PART


def test_what_others_delete_is_no_error(tmp_path: Path) -> None:
    kept = filled(tmp_path, "ogog", 4 * PART)
    pictures(tmp_path)[0].unlink()
    shutil.rmtree(tmp_path / "cam/part/test")
    for number in range(4, 9):
        kept.take(part(NG, number))
    assert frames(tmp_path) == [5, 6, 7, 8]
    shutil.rmtree(tmp_path / "cam")
    assert not kept.make_room()
    kept.take(part(NG, 9))
    assert 9 in frames(tmp_path)


def test_before_it_removes_anything_it_looks_whether_others_have_made_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = filled(tmp_path, "gggg", 4 * PART)
    for picture in pictures(tmp_path)[2:]:
        for file in tmp_path.rglob(f"{picture.stem}.*"):
            file.unlink()
    monkeypatch.setattr("edgerd.line.archive.stock._COUNT_AGAIN_S", 0.0)
    kept.take(part(NG, 4))
    assert frames(tmp_path) == [0, 1, 4]


def test_what_a_killed_process_left_goes_in_its_turn(tmp_path: Path) -> None:
    """A kill between two files leaves a record without a picture, which is recognised by that."""
    filled(tmp_path, "ggo")
    pictures(tmp_path)[0].unlink()
    (tmp_path / "cam/part/heatmaps" / f"{pictures(tmp_path)[0].stem}.jpg").unlink()
    kept = archive(tmp_path)
    assert kept.n_parts == 3
    kept.quota_bytes = 2 * PART
    kept.take(part(NG, 3))
    assert frames(tmp_path) == [1, 3]
    assert len(files(tmp_path)) == 5


def test_half_a_picture_is_never_seen_and_does_not_stay(tmp_path: Path) -> None:
    filled(tmp_path, "g")
    picture = pictures(tmp_path)[0]
    old, new, foreign = (
        picture.with_name(f".{name}.partial") for name in (picture.name, f"{picture.stem}.jpg", "x.png")
    )
    for stage in (old, new, foreign):
        stage.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)
    os.utime(foreign, (time.time() - 3600,) * 2)
    archive(tmp_path)
    assert not old.exists()
    assert new.exists()  # another process may be writing it
    assert foreign.exists()


def test_links_are_not_followed_out_of_the_archive(tmp_path: Path) -> None:
    filled(tmp_path / "precious", "oo")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/linked").symlink_to(tmp_path / "precious", target_is_directory=True)
    kept = archive(tmp_path / "archive")
    assert kept.n_parts == 0
    assert not kept.make_room()
    assert len(pictures(tmp_path / "precious")) == 2


def test_two_processes_can_keep_parts_in_one_folder(tmp_path: Path) -> None:
    first, second = archive(tmp_path), archive(tmp_path)
    for number in range(3):
        first.take(part(NG, number, captured_at=1000.0))
        second.take(part(NG, number, captured_at=1000.0))
    assert frames(tmp_path) == [0, 0, 1, 1, 2, 2]
    assert archive(tmp_path, 2 * PART).n_parts == 2


def test_without_a_generator_it_still_chooses_a_share(tmp_path: Path) -> None:
    kept = Archive(tmp_path, math.inf, 0.5)
    one = part(OK)
    n_chosen = sum(kept.choose(one.frame, one.verdict, one.spec) is not None for _ in range(1000))
    assert 350 < n_chosen < 650


def test_a_folder_of_many_pictures_is_counted_whole(tmp_path: Path) -> None:
    kept = filled(tmp_path, "o")
    record = next(tmp_path.rglob("*.json")).parent.parent / "records"
    numbers = random.Random(0).sample(range(10**6), 2000)
    for number in numbers:
        (record / f"20260101T000000-{number:06d}Z_ok_000001_00000000.json").touch()
    kept = archive(tmp_path)
    assert kept.n_parts == 2001
    assert kept.make_room()
    assert kept.n_parts == 0
