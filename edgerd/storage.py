"""Files and directories that are replaced as a whole or not at all, and what is said when the disk will not have it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgerd.errors import InputError, StorageError
from edgerd.paths import exists, is_file, is_folder

LOCK_FILE = ".lock"
"""In a folder that one process at a time may write to; see `only_writer_of`."""
_FREE = "Free some space"
_LONG_NAME_BYTES = 200
_OTHER_FOLDER = "Wait until the other one has ended, or choose another folder with -o."
UNCHANGED = "Free some space or choose another place with -o; what was there before is unchanged."
IN_PLACE = (
    "Free some space, or copy the bundle to a folder where you may write and name it there; it is unchanged. In a "
    "container mount the folder above the bundle: what is mounted itself cannot be replaced."
)
"""Where something is saved where it lies."""


@contextlib.contextmanager
def storage_errors(path: Path, hint: str = UNCHANGED) -> Iterator[None]:
    """Turn an OSError inside the block, which writes, into a StorageError about `path`.

    Args:
        path: What is written.
        hint: What to do next where the disk is full. Where it is not, its "free some space" is left out.
    """
    try:
        yield
    except OSError as error:
        # numpy has no number for a disk that took a part: "4096 requested and 512 written"
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error)
        raise StorageError(
            f"{path} could not be written: {'the disk is full' if is_full else error.strerror or error}.",
            expected="a writable folder with space left",
            hint=hint if is_full else hint.replace(_FREE, "Check the folder and its permissions"),
        ) from error


@contextlib.contextmanager
def replaced_file(file: Path) -> Iterator[Path]:
    """Give an empty file to write to, which takes the place of `file` when the block ends.

    After an error or an interrupt `file` is what it was, and nothing is left beside it. What a process that was killed
    had begun is removed by the next one that replaces the same file. The new file has the mode of the old one, or what
    the umask says where there was none, and is on the disk when the block has ended. A link at `file` stays, and the
    file that it names is replaced.

    Raises:
        OSError: As the file system has it; see `storage_errors`.
    """
    file = Path(os.path.realpath(file))
    make_folder(file.parent)
    with _alone_in(file.parent):
        _remove_abandoned_files(file)
        stage, mode = _stage_name(file), _mode_of(file)
        usable = 0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR
        handle = os.open(stage, os.O_CREAT | os.O_EXCL | os.O_RDWR, usable)
        _lock(handle, wait=False)  # as long as it is held, nobody takes the stage for an abandoned one
    try:
        yield stage
        sync(stage)
        if mode is not None:
            stage.chmod(mode)
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
        OSError: As the file system has it; see `storage_errors`.
    """
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    with _alone_in(path.parent) as alone:
        _bring_back(path)
        if alone:
            _remove_abandoned_folders(path)
        stage, mode = _stage_name(path), _mode_of(path)
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


def check_replaceable(path: Path) -> None:
    """Try what `replaced_directory` will do, and change nothing.

    A folder is made beside `path`, or beside the first folder on the way to it that has to be made, and one in it; and
    `path` is renamed to a folder that is not empty, which fails for that reason only where it could be renamed at all:
    not where it is mounted, nor where its folder has the sticky bit and it belongs to somebody else.

    Raises:
        OSError: As `replaced_directory` would at the end.
    """
    path = Path(os.path.realpath(path))
    above = next(folder for folder in path.parents if exists(folder))
    with _alone_in(above):
        beside = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=".try", dir=above))
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
    """Bring the old directory back where an exchange was cut off between its two renames."""
    path = Path(os.path.realpath(path))
    if _is_cut_off(path):
        with _alone_in(path.parent):  # it may be an exchange that is going on
            _bring_back(path)


def unfinished_in(folder: Path) -> list[Path]:
    """The names under which directories right inside `folder` are missing because an exchange was cut off."""
    names = [old.with_name(old.name[1 : -len(".old")]) for old in folder.glob(".*.old")]
    return [path for path in names if not exists(path)]


@contextlib.contextmanager
def only_writer_of(folder: Path, hint: str = _OTHER_FOLDER) -> Iterator[None]:
    """Keep other processes from writing to a folder for the time of the block; the folder is made if it is not there.

    The lock is on a file in the folder, `LOCK_FILE`, which says who holds it; it ends with the process that holds it,
    however that ends. Where the file system has no locks, nobody is kept out.

    Args:
        folder: What is written to.
        hint: What to do where another process holds it.

    Raises:
        InputError: Another process holds it; the message says which.
        OSError: As the file system has it; see `storage_errors`.
    """
    new = make_folder(folder)
    file = folder / LOCK_FILE
    handle = _own_lock_file(file, hint)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()
        os.close(handle)
        for made in new:  # after an error nothing was put there
            with contextlib.suppress(OSError):
                made.rmdir()


def is_taken(path: Path) -> bool:
    """Whether something is at `path` already: anything but an empty folder.

    Raises:
        OSError: It is a folder that cannot be read.
    """
    return exists(path) and (not is_folder(path) or any(entry.name != LOCK_FILE for entry in path.iterdir()))


def make_folder(folder: Path) -> list[Path]:
    """Make a folder with those on the way to it, on the disk as well; returns those that were made, the last one first.

    Raises:
        OSError: As the file system has it.
    """
    new = [one for one in (folder, *folder.parents) if not exists(one)]
    folder.mkdir(parents=True, exist_ok=True)
    for made in new:
        sync(made.parent)
    return new


def write_durably(file: Path, content: bytes) -> None:
    """Write a file, with the folders on the way, and wait until it is on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def sync(path: Path) -> None:
    """Wait until a file is on the disk; or a folder, with the renames in it. Windows has no such call for folders."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name where the file system can, else copy it with its mode; it is on the disk afterwards.

    The old name may be of a file that was just copied here by other means, so that it has to be waited for as well.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
    sync(target)


def keep_mode(old: Path, new: Path) -> None:
    """Give a new file the permissions of the one that it takes the place of, if there is one."""
    mode = _mode_of(old)
    if mode is not None:
        new.chmod(mode)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Keep other processes from replacing directories in `folder`; gives False where it has no locks.

    The lock is on the folder itself, so that it leaves no file, and ends with the process that holds it.
    """
    if os.name != "posix":
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(handle, wait=True)
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file for this process alone; False where the file system has no locks.

    Raises:
        BlockingIOError: Another process holds the lock, and this one does not `wait`.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # some network file systems
        return False
    return True


def _own_lock_file(file: Path, hint: str) -> int:
    """Open and lock a lock file; again where the one that held it has removed it in between.

    Raises:
        InputError: Another process holds it.
    """
    while True:
        handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            _lock(handle, wait=False)
            if is_file(file) and os.path.samestat(os.fstat(handle), file.stat()):
                return handle
        except BlockingIOError as error:
            holder = os.read(handle, 200).decode(errors="replace") or "another process"
            os.close(handle)
            raise InputError(
                f"{file.parent} is in use: {holder} writes to it.",
                expected="one process at a time that writes to this folder",
                hint=hint,
            ) from error
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _prefix(path: Path) -> str:
    """How the names of what is made beside `path` begin; a long name is shortened, since file systems have a limit."""
    name = path.name
    if len(os.fsencode(name)) > _LONG_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}."


def _stage_name(path: Path) -> Path:
    return path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}.partial")


def _mode_of(path: Path) -> int | None:
    """The permissions of what is at `path`; None where there is nothing."""
    return stat.S_IMODE(path.stat().st_mode) if exists(path) else None


def _stages_of(path: Path) -> list[Path]:
    entries = path.parent.iterdir()
    return [entry for entry in entries if entry.name.startswith(_prefix(path)) and entry.suffix == ".partial"]


def _remove_abandoned_files(file: Path) -> None:
    """Remove what processes that were killed had begun to write in the place of `file`: nobody holds its lock."""
    for stage in _stages_of(file):
        with contextlib.suppress(OSError):
            handle = os.open(stage, os.O_RDONLY)
            try:
                if is_file(stage) and _lock(handle, wait=False):
                    stage.unlink()
            finally:
                os.close(handle)


def _remove_abandoned_folders(path: Path) -> None:
    """Remove what processes that were killed had begun to fill in the place of `path`."""
    for stage in _stages_of(path):
        if is_folder(stage):
            shutil.rmtree(stage, ignore_errors=True)


def _is_cut_off(path: Path) -> bool:
    return bool(path.name) and not exists(path) and is_folder(_old_name(path))


def _bring_back(path: Path) -> None:
    if _is_cut_off(path):
        _old_name(path).rename(path)


def _exchange(stage: Path, path: Path) -> None:
    old = _old_name(path)
    shutil.rmtree(old, ignore_errors=True)
    if exists(path):
        path.rename(old)
    stage.rename(path)
    sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _old_name(path: Path) -> Path:
    return path.with_name(f"{_prefix(path)}old")
