"""Pictures of parts that were judged: written as a whole or not at all, and never more of them than a quota allows."""

from __future__ import annotations

import contextlib
import errno
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.errors import InputError, StorageError
from edgerd.events import FrameVerdict
from edgerd.line.archive.names import new_stem, product_folder, stage_of
from edgerd.line.archive.part import Part, marks
from edgerd.line.archive.stock import Stock, size_on_disk
from edgerd.paths import is_file
from edgerd.storage import storage_errors, sync, write_durably
from edgerd.types import Frame, Verdict

_HINT = "Free some space, or give the archive another folder. Inspection goes on; pictures are lost meanwhile."
_ROOM_BYTES = 16 << 20
"""How much is freed at once on a full disk, as far as OK parts take up so much."""


class Archive:
    """Keeps the pictures of all NG and NO_DECISION parts, and of a share of the OK ones, each with heatmap and record.

    The folder of a camera's product is a data set, as `edgerd.data.dataset` reads it:

        CAMERA/PRODUCT/train/good/NAME.png     OK
        CAMERA/PRODUCT/test/ng/NAME.png        NG
        CAMERA/PRODUCT/no_decision/NAME.png    NO_DECISION; not read as data
        CAMERA/PRODUCT/heatmaps/NAME.jpg       the anomaly map over the picture; not read as data
        CAMERA/PRODUCT/records/NAME.json       the verdict, as a line of the verdict log has it

    A picture appears when it is complete and its record is there. What takes the archive above its quota is removed:
    the oldest OK parts, then the oldest of the others, and never files that an archive has not written. An OK part is
    not kept where NG or NO_DECISION ones would have to go for it.

    The thread that judges calls `choose`; a slow one, such as an `edgerd.line.observer.Observer`'s, calls `take`; any
    thread may call the rest.

    Args:
        folder: Where to keep them; made if it is not there.
        quota_bytes: What the files may take up; `math.inf` for no limit.
        ok_share: Share of the OK parts that are kept, 0 to 1.
        generator: Chooses the OK parts that are kept; None for one with a random seed.

    Attributes:
        quota_bytes: What the files may take up; may be changed, for the parts that come afterwards.
        ok_share: Share of the OK parts that are kept; may be changed, for the parts that come afterwards.

    Raises:
        InputError: The quota is not above 0, or the share not from 0 to 1.
        StorageError: The folder cannot be read or written.
    """

    def __init__(
        self, folder: Path, quota_bytes: float, ok_share: float = 0.0, *, generator: random.Random | None = None
    ) -> None:
        _refuse_limits(quota_bytes, ok_share)
        self.quota_bytes = quota_bytes
        self.ok_share = ok_share
        self._folder = folder
        self._leftovers: list[Path] = []
        self._random = generator or random.Random()  # noqa: S311  no secret
        with storage_errors(folder, _HINT):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            self._stock = Stock(folder)
            self._shrink_to(quota_bytes)

    @property
    def n_bytes(self) -> int:
        """Bytes that the archive's files take up, as far as it knows: others may delete some."""
        return self._stock.n_bytes

    @property
    def n_parts(self) -> int:
        """How many parts there are, as far as it knows."""
        return self._stock.n_parts

    def choose(self, frame: Frame | None, verdict: FrameVerdict, spec: PreprocessSpec) -> Part | None:
        """Whether a part is to be kept. Costs a copy of the frame where it is, and nothing where it is not.

        Args:
            frame: From the camera; None where there was none.
            verdict: What was found in it.
            spec: The preprocessing of the inspector that judged it.

        Returns:
            What `take` takes; None where the part is not to be kept, or there is no picture of it.
        """
        if frame is None or not frame.data.size:
            return None
        if verdict.inspection.verdict is Verdict.OK and self._random.random() >= self.ok_share:
            return None
        return Part.copied(frame, verdict, spec)

    def take(self, part: Part) -> None:
        """Keep a part; returns when it is on the disk. One thread at a time.

        Args:
            part: As `choose` gives it.

        Raises:
            StorageError: It cannot be written, or old ones cannot be removed; nothing is left of it then.
        """
        self._remove_leftovers()
        stem = new_stem(part.verdict)
        files = {self._folder / path: content for path, content in part.files(stem).items()}
        n_bytes = sum(size_on_disk(len(content)) for content in files.values())
        is_ok = part.verdict.inspection.verdict is Verdict.OK
        with storage_errors(self._folder, _HINT):
            if not self._has_place_for(n_bytes, is_ok=is_ok):
                return
            self._write_marks(part)
            with self._stock.adding(stem, files, n_bytes):
                self._write_or_make_room(files, n_bytes)

    def make_room(self, beside: Path | None = None) -> bool:
        """Remove the oldest OK parts, because a disk is full and something else is more important.

        Args:
            beside: What needs the room. Where that is on another file system, nothing is removed.

        Returns:
            Whether some space was freed.

        Raises:
            StorageError: A part cannot be removed.
        """
        with storage_errors(self._folder, _HINT):
            try:
                if beside is not None and beside.stat().st_dev != self._folder.stat().st_dev:
                    return False
            except FileNotFoundError:
                return False
            self._stock.count_where_wrong(before_removing=False)
            return self._free_ok_parts(_ROOM_BYTES) > 0

    def _has_place_for(self, n_bytes: int, *, is_ok: bool) -> bool:
        """Bring the archive so far below its quota that there is place for a part; False where others are worth more.

        Args:
            n_bytes: What the part takes up.
            is_ok: Whether it is an OK part.

        Raises:
            StorageError: The quota is smaller than this one part.
        """
        quota_bytes = self.quota_bytes
        self._stock.count_where_wrong(before_removing=self._stock.n_bytes + n_bytes > quota_bytes)
        self._shrink_to(quota_bytes)
        if n_bytes > quota_bytes:
            raise StorageError(
                f"A picture that takes up {n_bytes} bytes is larger than the whole archive {self._folder} may be.",
                expected=f"a quota above that, not {quota_bytes:g} bytes",
                hint="Raise the quota of the archive.",
            )
        if is_ok and self._stock.n_other_bytes + n_bytes > quota_bytes:
            return False
        self._shrink_to(quota_bytes - n_bytes)
        return True

    def _shrink_to(self, n_bytes: float) -> None:
        """Remove the oldest parts, OK ones first, until the rest takes up so much at most."""
        while self._stock.n_bytes > n_bytes and self._stock.remove_oldest(ok_only=False) is not None:
            pass

    def _free_ok_parts(self, n_bytes: int) -> int:
        """Remove the oldest OK parts until so many bytes are free, or none is left; the bytes that were freed."""
        n_freed = 0
        while n_freed < n_bytes:
            n_more = self._stock.remove_oldest(ok_only=True)
            if n_more is None:
                break
            n_freed += n_more
        return n_freed

    def _write_or_make_room(self, files: Mapping[Path, bytes], n_bytes: int) -> None:
        """Write a part; on a full disk, again after the oldest OK parts were removed."""
        try:
            self._write(files)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if not (is_full and self._free_ok_parts(max(n_bytes, _ROOM_BYTES))):
                raise
            self._write(files)

    def _write(self, files: Mapping[Path, bytes]) -> None:
        """Write files one after the other, each as a whole; all of them or none."""
        begun: list[Path] = []
        try:
            for file, content in files.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                begun += [stage_of(file), file]
                write_durably(stage_of(file), content)
                stage_of(file).replace(file)
                sync(file.parent)
        except BaseException:
            self._leftovers += begun
            self._remove_leftovers()
            raise

    def _remove_leftovers(self) -> None:
        """Remove what was written of a part that could not be completed; the next part tries it again where needed."""
        with contextlib.suppress(OSError):
            while self._leftovers:
                self._leftovers[-1].unlink(missing_ok=True)
                self._leftovers.pop()

    def _write_marks(self, part: Part) -> None:
        for path, content in marks(product_folder(part.verdict)).items():
            if not is_file(self._folder / path):
                self._write({self._folder / path: content})


def _refuse_limits(quota_bytes: float, ok_share: float) -> None:
    if not quota_bytes > 0:
        raise InputError(f"An archive of {quota_bytes:g} bytes keeps nothing.", expected="a quota above 0")
    if not 0 <= ok_share <= 1:
        raise InputError(f"A share of {ok_share:g} of the OK parts cannot be kept.", expected="0 to 1")
