"""What is kept of a part, where, and that it is all there or not at all."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_parts import NG, NO_DECISION, OK, QUOTA, SPEC, archive, bgr, files, frames, part, pictures

from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import bgr_from_frame
from edgerd.errors import InputError, StorageError
from edgerd.line.archive import Archive
from edgerd.line.observer import Observer
from edgerd.types import Frame, PixelFormat, UInt8Array, Verdict


def test_a_part_is_kept_with_picture_heatmap_and_record(tmp_path: Path) -> None:
    kept = part(NG, 42, product="nut")
    archive(tmp_path).take(kept)
    (picture,) = pictures(tmp_path)
    stem = picture.stem
    assert stem.startswith("20260105T080042-000000Z_ng_000042_")
    assert files(tmp_path) == [
        f"cam/nut/heatmaps/{stem}.jpg",
        f"cam/nut/records/{stem}.json",
        f"cam/nut/test/ng/{stem}.png",
    ]
    assert np.array_equal(read_picture(picture), kept.frame.data)
    assert json.loads((tmp_path / f"cam/nut/records/{stem}.json").read_text()) == kept.verdict.to_json()
    assert read_picture(tmp_path / f"cam/nut/heatmaps/{stem}.jpg").shape == (12, 16, 3)


@pytest.mark.parametrize(("verdict", "folder"), [(OK, "train/good"), (NG, "test/ng"), (NO_DECISION, "no_decision")])
def test_the_folder_says_what_the_machine_said(tmp_path: Path, verdict: Verdict, folder: str) -> None:
    archive(tmp_path).take(part(verdict))
    (picture,) = pictures(tmp_path)
    assert picture.parent == tmp_path / "cam/part" / folder


def test_what_was_not_judged_has_no_heatmap(tmp_path: Path) -> None:
    archive(tmp_path).take(part(NO_DECISION))
    assert [Path(file).suffix for file in files(tmp_path)] == [".png", ".json"]


@pytest.mark.parametrize(
    ("pixel_format", "shape"),
    [(PixelFormat.NV12, (18, 16)), (PixelFormat.YUYV, (12, 16, 2)), (PixelFormat.GREY, (12, 16))],
)
def test_a_picture_shows_what_was_judged(tmp_path: Path, pixel_format: PixelFormat, shape: tuple[int, ...]) -> None:
    data = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    kept = part(NG, data=data, pixel_format=pixel_format)
    archive(tmp_path).take(kept)
    (picture,) = pictures(tmp_path)
    assert np.array_equal(read_picture(picture), bgr_from_frame(kept.frame, SPEC))


def test_the_heatmap_of_a_large_frame_is_small_and_shows_the_defect_in_its_place(tmp_path: Path) -> None:
    large = np.full((1500, 2000, 3), 100, np.uint8)
    kept = part(NG, data=large)
    hot = kept.verdict.inspection.anomaly_map
    assert hot is not None
    hot[:] = 0
    hot[0, 16:, 16:] = 1.0
    archive(tmp_path).take(kept)
    (file,) = tmp_path.rglob("*.jpg")
    heatmap = read_picture(file)
    assert heatmap.shape == (768, 1024, 3)
    changed = np.abs(heatmap.astype(int) - 100).max(axis=2) > 30
    assert changed[450:, 600:].mean() > 0.9
    assert changed[100:300, 100:400].mean() < 0.1


def test_a_frame_that_is_no_picture_is_said_and_not_half_kept(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    with pytest.raises(StorageError, match="Frame 3 of cam cannot be kept as a picture"):
        kept.take(part(NO_DECISION, 3, data=bgr()[..., :2].copy()))
    assert files(tmp_path) == []
    assert kept.n_bytes == 0


def choose(kept: Archive, verdict: Verdict, number: int = 0) -> bool:
    one = part(verdict, number)
    return kept.choose(one.frame, one.verdict, SPEC) is not None


def test_all_but_ok_parts_are_chosen_and_of_those_the_share(tmp_path: Path) -> None:
    kept = archive(tmp_path, ok_share=0.25)
    assert all(choose(kept, verdict) for verdict in (NG, NO_DECISION) for _ in range(50))
    assert 400 < sum(choose(kept, OK) for _ in range(2000)) < 600
    kept.ok_share = 0.0
    assert not any(choose(kept, OK) for _ in range(100))
    kept.ok_share = 1.0
    assert all(choose(kept, OK) for _ in range(100))


def test_cameras_that_take_turns_have_the_same_share(tmp_path: Path) -> None:
    kept = archive(tmp_path, ok_share=0.5)
    chosen = [choose(kept, OK) for _ in range(2000)]
    assert all(430 < sum(chosen[camera::2]) < 570 for camera in (0, 1))


def test_the_same_generator_chooses_the_same_parts(tmp_path: Path) -> None:
    first, second = (Archive(tmp_path, QUOTA, 0.5, generator=random.Random(3)) for _ in range(2))
    assert [choose(first, OK) for _ in range(50)] == [choose(second, OK) for _ in range(50)]


def test_a_chosen_frame_is_a_copy(tmp_path: Path) -> None:
    one = part(NG)
    before = one.frame.data.copy()
    chosen = archive(tmp_path).choose(one.frame, one.verdict, SPEC)
    one.frame.data[:] = 0
    assert chosen is not None
    assert np.array_equal(chosen.frame.data, before)


def test_where_there_was_no_frame_nothing_is_kept(tmp_path: Path) -> None:
    kept, one = archive(tmp_path), part(NO_DECISION)
    nothing: UInt8Array = np.empty((0, 0, 3), np.uint8)
    assert kept.choose(None, one.verdict, SPEC) is None
    assert kept.choose(Frame(nothing), one.verdict, SPEC) is None


def test_an_observer_hands_parts_over_and_says_what_is_lost(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    observer = Observer("archive", kept.take, noun="picture", capacity=4)
    observer.put(part(NG, 1), may_wait=True)
    observer.put(part(NO_DECISION, 2, data=bgr()[..., :2].copy()), may_wait=True)
    observer.put(part(OK, 3), may_wait=True)
    assert observer.close()
    assert frames(tmp_path) == [1, 3]
    assert observer.loss.startswith("1 picture for the archive were dropped. Frame 2 of cam cannot be kept")


# disks


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


def test_what_cannot_be_taken_back_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that first fails to rename and then to remove leaves files; the quota holds for them too."""
    n, folder = n_changes(tmp_path / "whole", monkeypatch), tmp_path / "archive"
    kept = archive(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        Disk(patch, n, errno.EIO)
        with pytest.raises(StorageError):
            kept.take(part(NG, 1))
    assert [Path(file).suffix for file in files(folder)] == [".jpg", ".json", ".partial"]
    kept.take(part(NG, 2))
    assert kept.n_parts == 2
    assert frames(folder) == [2]


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
