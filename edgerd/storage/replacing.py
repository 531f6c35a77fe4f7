"""Files and folders that take the place of others in one step."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgerd.paths import exists, is_file, is_folder
from edgerd.storage.durable import folder_for, mode_of, sync
from edgerd.storage.locks import LOCK_FILE, alone_in, lock

_LONG_NAME_BYTES = 200
_STAGE, _DRAFT = ".partial", ".draft"
"""How the names of what is being written end, beside the place that it is for."""


@contextlib.contextmanager
def replaced_file(file: Path) -> Iterator[Path]:
    """Give an empty file to write to, which takes the place of `file` when the block ends.

    After an error or an interrupt `file` is what it was, and nothing is left beside it. What a process that was killed
    had begun is removed by the next one that replaces the same file. The new file has the mode of the old one, or what
    the umask says where there was none, and is on the disk when the block has ended. A link at `file` stays, and the
    file that it names is replaced.

    Raises:
        OSError: The disk refuses it; `storage_errors` turns it into an error for people.
    """
    file = Path(os.path.realpath(file))
    with folder_for(file.parent):
        with alone_in(file.parent):
            remove_abandoned(file)
            stage, mode = _stage_name(file), mode_of(file)
            usable = 0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR
            handle = os.open(stage, os.O_CREAT | os.O_EXCL | os.O_RDWR, usable)
            lock(handle, wait=False)  # as long as it is held, nobody takes the stage for an abandoned one
        try:
            yield stage
            sync(stage)
            if mode is not None:
                stage.chmod(mode)
            with _put_back_after_an_error(file):
                stage.replace(file)
                sync(file.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                stage.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)


@contextlib.contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """Give an empty directory to fill, which takes the place of `path` when the block ends.

    After an error or an interrupt, in the block or in the exchange itself, `path` is what it was. A process that is
    killed between the two renames of the exchange leaves the old directory beside `path`, where `finish_replacing`
    finds it; what was being filled then is removed the next time. The new directory has the mode of the old one, or
    what the umask says where there was none. Files are to be put there by `write_durably` and `link_or_copy`. A link at
    `path` stays, and the directory that it names is replaced. One process at a time replaces directories in a folder,
    the others wait.

    Raises:
        OSError: The disk refuses it; `storage_errors` turns it into an error for people.
    """
    path = Path(os.path.realpath(path))
    with folder_for(path.parent), alone_in(path.parent) as alone:
        _bring_back(path)
        if alone:
            _remove_abandoned_folders(path)
        stage, mode = _stage_name(path), mode_of(path)
        stage.mkdir(0o777 if mode is None else mode | stat.S_IRWXU)
        try:
            yield stage
            if mode is not None:
                stage.chmod(mode)
            for folder, _, _ in os.walk(stage):
                sync(Path(folder))
            _exchange(stage, path)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            _bring_back(path)
            raise


@contextlib.contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` for the time of the block, for what `path` is made from in several steps.

    What a process that was killed had begun is removed by the next draft for the same `path`.

    Raises:
        OSError: The folder cannot be made.
    """
    path = Path(os.path.realpath(path))
    with folder_for(path.parent):
        with alone_in(path.parent) as alone:
            if alone:
                _remove_abandoned_drafts(path)
            draft = _new_name(path, _DRAFT)
            draft.mkdir()
            try:
                handle = os.open(draft / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o666)
            except OSError:
                draft.rmdir()
                raise
            lock(handle, wait=False)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            os.close(handle)


def check_replaceable(path: Path) -> None:
    """Try what `replaced_directory` will do, and change nothing.

    A folder is made beside `path`, or beside the first folder on the way to it that has to be made, and one in it; and
    `path` is renamed to a folder that is not empty, which fails for that reason only where it could be renamed at all:
    not where it is mounted, nor where its folder has the sticky bit and it belongs to somebody else.

    Raises:
        OSError: As `replaced_directory` would raise it at the end.
    """
    path = Path(os.path.realpath(path))
    above = next(folder for folder in path.parents if exists(folder))
    with alone_in(above):
        beside = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=_STAGE, dir=above))
        try:
            (beside / "not-empty").mkdir()
            if is_folder(path):
                Path(tempfile.mkdtemp(prefix=".", suffix=".try", dir=path)).rmdir()
                path.rename(beside)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def finish_replacing(path: Path) -> None:
    """Bring the old directory back where an exchange was cut off between its two renames.

    Raises:
        OSError: It cannot be renamed.
    """
    path = Path(os.path.realpath(path))
    if _is_cut_off(path):
        with alone_in(path.parent):  # it may be an exchange that is going on
            _bring_back(path)


def unfinished_in(folder: Path) -> list[Path]:
    """The names under which directories right inside `folder` are missing because an exchange was cut off."""
    names = [old.with_name(old.name[1 : -len(".old")]) for old in folder.glob(".*.old")]
    return [path for path in names if not exists(path)]


def abandoned_stages_of(path: Path) -> list[Path]:
    """List what lies beside `path` because a process has begun to write it: one that was killed, or is still at it.

    Raises:
        OSError: The folder cannot be read.
    """
    return _beside(path, _STAGE)


def remove_abandoned(file: Path) -> None:
    """Remove what processes that were killed had begun to write in the place of `file`: nobody holds its lock.

    `replaced_file` does so itself; this is for a file that is not written again.

    Raises:
        OSError: The folder cannot be read.
    """
    for stage in _beside(file, _STAGE):
        with contextlib.suppress(OSError), _unlocked(stage):
            if is_file(stage):
                stage.unlink()


def _prefix(path: Path) -> str:
    """How the names of what is made beside `path` begin; a long name is shortened, since file systems have a limit."""
    name = path.name
    if len(os.fsencode(name)) > _LONG_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}."


def _new_name(path: Path, suffix: str) -> Path:
    return path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}{suffix}")


def _stage_name(path: Path) -> Path:
    return _new_name(path, _STAGE)


def _beside(path: Path, suffix: str) -> list[Path]:
    entries = path.parent.iterdir()
    return [entry for entry in entries if entry.name.startswith(_prefix(path)) and entry.suffix == suffix]


def _remove_abandoned_folders(path: Path) -> None:
    """Remove what processes that were killed had begun to fill in the place of `path`."""
    for stage in _beside(path, _STAGE):
        if is_folder(stage):
            shutil.rmtree(stage, ignore_errors=True)


def _remove_abandoned_drafts(path: Path) -> None:
    """Remove the drafts for `path` of processes that were killed: nobody holds their locks, or they have none yet."""
    for draft in _beside(path, _DRAFT):
        with contextlib.suppress(OSError):
            if not exists(draft / LOCK_FILE):
                shutil.rmtree(draft, ignore_errors=True)
                continue
            with _unlocked(draft / LOCK_FILE):
                shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _unlocked(file: Path) -> Iterator[None]:
    """Run the block if nobody else holds the lock on a file.

    Raises:
        OSError: Somebody does, or that cannot be known.
    """
    handle = os.open(file, os.O_RDONLY)
    try:
        if not lock(handle, wait=False):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _put_back_after_an_error(file: Path) -> Iterator[None]:
    """Put a file back, or take a new one away, where the block that replaces it fails after the replacing.

    The old file has a second name meanwhile. Where the file system has none to give, an error leaves the new file.
    """
    was_there, kept = exists(file), _stage_name(file)
    if was_there:
        try:
            os.link(file, kept)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if was_there:
                kept.replace(file)
            else:
                file.unlink(missing_ok=True)
        raise
    finally:
        with contextlib.suppress(OSError):
            kept.unlink(missing_ok=True)


def _is_cut_off(path: Path) -> bool:
    return bool(path.name) and not exists(path) and is_folder(_old_name(path))


def _bring_back(path: Path) -> None:
    if _is_cut_off(path):
        _old_name(path).rename(path)


def _exchange(stage: Path, path: Path) -> None:
    """Put a folder in the place of another, which is removed as soon as the new one's name is on the disk."""
    old = _old_name(path)
    shutil.rmtree(old, ignore_errors=True)
    if exists(path):
        path.rename(old)
    stage.rename(path)
    try:
        sync(path.parent)
    except BaseException:
        path.rename(stage)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _old_name(path: Path) -> Path:
    return path.with_name(f"{_prefix(path)}old")
