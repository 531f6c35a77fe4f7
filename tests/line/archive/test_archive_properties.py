"""Whatever happens in whatever order: the quota holds, NG outlive OK, and each picture can be used."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_parts import OK, PART, archive, bgr, frames, part, pictures, used_bytes
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgerd.data.pictures import read_picture
from edgerd.errors import StorageError
from edgerd.line.archive import archive as writing
from edgerd.line.archive import stock
from edgerd.types import Verdict


class AnyInterleaving(RuleBasedStateMachine):
    """Parts come, the quota changes, people delete and sort, the disk fails, the process ends, an outbox needs room."""

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="edgerd-archive-"))
        self.folder = self.root / "archive"
        self.n_calls_left: int | None = None
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writing, "_ROOM_BYTES", 1)
        self.patch.setattr(stock, "_COUNT_AGAIN_S", 0.0)  # people's deletions are seen at once
        self.patch.setattr(stock, "_ABANDONED_S", -1.0)  # nobody else writes here
        for place, name in ((Path, "open"), (Path, "mkdir"), (Path, "replace"), (Path, "unlink"), (os, "unlink")):
            self.patch.setattr(place, name, self._failing(getattr(place, name)))
        self.quota = 4 * PART
        self.archive = archive(self.folder, self.quota)
        self.number = 0
        self.is_quota_applied = True

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            shutil.rmtree(self.root, ignore_errors=True)

    def _failing(self, call: Any) -> Any:
        """A disk that works for some calls, and then fails until somebody looks after it."""

        def call_or_fail(*args: Any, **keywords: Any) -> Any:
            if self.n_calls_left is not None:
                if self.n_calls_left == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.n_calls_left -= 1
            return call(*args, **keywords)

        return call_or_fail

    @contextlib.contextmanager
    def _disk_works(self) -> Iterator[None]:
        """For what people do, and for looking at what is there."""
        n_calls_left, self.n_calls_left = self.n_calls_left, None
        yield
        self.n_calls_left = n_calls_left

    @rule(verdict=st.sampled_from(Verdict), camera=st.sampled_from(["a", "b/c"]), clock_s=st.integers(-5, 5))
    def take(self, verdict: Verdict, camera: str, clock_s: int) -> None:
        before = {path.name for path in pictures(self.folder)}
        was_in_quota = used_bytes(self.folder) <= self.quota
        self.number += 1
        try:
            self.archive.take(part(verdict, self.number, camera=camera, captured_at=1e9 + self.number + clock_s))
        except StorageError:
            assert self.n_calls_left == 0
            assert self.number not in frames(self.folder)
            return
        self.is_quota_applied = True
        after = {path.name for path in pictures(self.folder)}
        self._check_what_went(before - after, after)
        if verdict is not OK:
            assert self.number in frames(self.folder)
        elif was_in_quota:
            assert all("_ok_" in name for name in before - after)

    def _check_what_went(self, gone: set[str], left: set[str]) -> None:
        """No NG went while an OK was there, and of each kind the oldest went."""
        before_now = {name for name in left if f"_{self.number:06d}_" not in name}
        for is_ok in (True, False):
            gone_of_kind = {name for name in gone if ("_ok_" in name) == is_ok}
            left_of_kind = {name for name in before_now if ("_ok_" in name) == is_ok}
            if gone_of_kind and left_of_kind:
                assert max(gone_of_kind) < min(left_of_kind)
        if any("_ok_" not in name for name in gone):
            assert all("_ok_" not in name for name in before_now)

    @rule(n_parts=st.integers(1, 6))
    def change_quota(self, n_parts: int) -> None:
        self.quota = self.archive.quota_bytes = n_parts * PART
        self.is_quota_applied = False

    @rule(place=st.integers(0, 20), is_all_of_it=st.booleans())
    def somebody_deletes_a_part(self, place: int, is_all_of_it: bool) -> None:
        """With all its files; or the picture alone."""
        with self._disk_works():
            for picture in pictures(self.folder)[place : place + 1]:
                for file in self.folder.rglob(f"{picture.stem}.*") if is_all_of_it else [picture]:
                    file.unlink()

    @rule(place=st.integers(0, 20))
    def somebody_sorts_a_picture(self, place: int) -> None:
        with self._disk_works():
            for picture in pictures(self.folder)[place : place + 1]:
                target = picture.parents[1] / "scratch"
                target.mkdir(exist_ok=True)
                picture.rename(target / picture.name)

    @rule(camera=st.sampled_from(["a", "*"]))
    def somebody_deletes_folders(self, camera: str) -> None:
        with self._disk_works():
            for folder in self.folder.glob(camera):
                shutil.rmtree(folder)

    @rule(n_calls=st.integers(0, 12))
    def disk_begins_to_fail(self, n_calls: int) -> None:
        self.n_calls_left = n_calls

    @rule()
    def disk_works_again(self) -> None:
        self.n_calls_left = None

    @rule()
    def make_room(self) -> None:
        before = frames(self.folder)
        others = [path.name for path in pictures(self.folder) if "_ok_" not in path.name]
        try:
            was_freed = self.archive.make_room()
        except StorageError:
            assert self.n_calls_left == 0
            return
        assert others == [path.name for path in pictures(self.folder) if "_ok_" not in path.name]
        if frames(self.folder) != before:
            assert was_freed

    @rule()
    def restart(self) -> None:
        self.n_calls_left = None
        self.archive = archive(self.folder, self.quota)
        self.is_quota_applied = True
        assert self.archive.n_bytes == used_bytes(self.folder)

    @invariant()
    def the_quota_holds(self) -> None:
        if hasattr(self, "archive") and self.is_quota_applied:
            assert used_bytes(self.folder) <= self.quota + PART

    @invariant()
    def every_picture_has_its_record_and_can_be_read(self) -> None:
        if not hasattr(self, "archive"):
            return
        with self._disk_works():
            records = {path.stem for path in self.folder.rglob("*.json")}
            for picture in pictures(self.folder):
                assert picture.stem in records
                assert read_picture(picture).shape == bgr().shape


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
