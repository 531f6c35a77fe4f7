"""How a run folder begins, and that one training at a time writes to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote

import numpy as np

from edgerd.errors import InputError
from edgerd.paths import exists, is_folder
from edgerd.storage import (
    LOCK_FILE,
    abandoned_stages_of,
    is_taken,
    only_writer_of,
    remove_abandoned,
    replaced_file,
    storage_errors,
)
from edgerd.types import UInt8Array

RECORD_FILE = "run.json"
TRAIN_FILE = "train.npy"
HOLDOUT_FILE = "holdout.npy"


@contextmanager
def only_trainer_of(path: Path, data: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder for the time of the block, from before there is anything in it.

    Args:
        path: The run folder.
        data: For the command that an error proposes.

    Raises:
        InputError: Another process trains there, or `path` is a file.
        StorageError: The folder cannot be made or written.
    """
    if not is_folder(path):
        refuse_taken(path, data)
    with ExitStack() as stack:
        with storage_errors(path):
            stack.enter_context(only_writer_of(path))
        yield
        _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    """Remove what trainings that were killed had begun to write, of files that are not written again either."""
    with storage_errors(path):
        for file in list(path.iterdir()):
            remove_abandoned(file)


def refuse_taken(path: Path, data: Path) -> None:
    """Refuse a place for a new run where there is something; the beginning of a run that was cut off is nothing.

    Args:
        path: The place.
        data: The pictures, for the command that the error proposes.

    Raises:
        InputError: Something is at `path`.
        StorageError: The folder cannot be read.
    """
    with storage_errors(path):
        taken = is_taken(path) and not _was_cut_off(path)
    if taken:
        command = f"edgerd train {quote(str(data))} -o {quote(str(path))} --resume"
        raise InputError(
            f"{path} is not empty.",
            expected="a new folder for the run",
            hint=f"{command} goes on with a run; or choose another name with -o.",
        )


def write_run(path: Path, record: str, pictures: Mapping[str, UInt8Array]) -> None:
    """Write a run folder; after an error no file is left.

    Args:
        path: The folder; made if it is not there.
        record: What `RECORD_FILE` says, as JSON.
        pictures: Name to pictures, uint8 (n, T, H, W, 3): `TRAIN_FILE` and `HOLDOUT_FILE`.

    Raises:
        StorageError: Disk full, or no permission.
    """
    # The record, which makes it a run, is put in its place last. What is written of it is there first: by that,
    # `_was_cut_off` knows the pictures as ours that a process had written before it was killed.
    with storage_errors(path):
        if _was_cut_off(path):
            _remove_pictures(path)
        try:
            with replaced_file(path / RECORD_FILE) as part:
                part.write_text(record, encoding="utf-8")
                for name, array in pictures.items():
                    with replaced_file(path / name) as picture_part, picture_part.open("wb") as file:
                        np.save(file, array)
        except BaseException:
            _remove_pictures(path)
            raise


def _remove_pictures(path: Path) -> None:
    if not is_folder(path):
        return
    for file in (path / TRAIN_FILE, path / HOLDOUT_FILE):
        for written in (file, *abandoned_stages_of(file)):
            written.unlink(missing_ok=True)


def _was_cut_off(path: Path) -> bool:
    """Whether there is nothing at `path` but the beginning of a run, of a process that was killed while it wrote it."""
    if not is_folder(path) or exists(path / RECORD_FILE):
        return False
    begun = abandoned_stages_of(path / RECORD_FILE)
    ours = {LOCK_FILE, TRAIN_FILE, HOLDOUT_FILE, *(stage.name for stage in begun)}
    ours |= {stage.name for name in (TRAIN_FILE, HOLDOUT_FILE) for stage in abandoned_stages_of(path / name)}
    return bool(begun) and all(entry.name in ours for entry in path.iterdir())
