"""Files and directories that are replaced as a whole or not at all, and what is said when the disk will not have it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgerd.errors import StorageError

UNCHANGED = "Free some space or choose another place with -o; what was there before is unchanged."
IN_PLACE = (
    "Free some space, or copy the bundle to a folder where you may write and name it there; it is unchanged. In a "
    "container mount the folder above the bundle: what is mounted itself cannot be replaced."
)
"""Where something is saved where it lies."""


def cache_folder() -> Path:
    """Where what can be fetched or made again is kept: `$XDG_CACHE_HOME/edgerd`, by default `~/.cache/edgerd`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgerd"


@contextlib.contextmanager
def storage_errors(path: Path, hint: str = UNCHANGED) -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError about `path`, with `hint` for what to do next."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise StorageError(
            f"{path} could not be written: {reason}.",
            expected="a writable folder with space left",
            hint=hint,
        ) from error


@contextlib.contextmanager
def replaced_file(file: Path) -> Iterator[Path]:
    """Give an empty file to write to, which takes the place of `file` when the block ends.

    After an error or an interrupt `file` is what it was, and nothing is left beside it. A link at `file` stays, and the
    file that it names is replaced.

    Raises:
        OSError: As the file system has it; see `storage_errors`.
    """
    file = Path(os.path.realpath(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
    os.close(handle)
    stage = Path(name)
    try:
        yield stage
        stage.chmod(0o644)
        _sync(stage)
        stage.replace(file)
        _sync(file.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            stage.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """Give an empty directory to fill, which takes the place of `path` when the block ends.

    After an error or an interrupt, in the block or in the exchange itself, `path` is what it was. A process that is
    killed between the two renames of the exchange leaves the old directory beside `path`, where `finish_replacing`
    finds it; what was being filled then is removed the next time. A link at `path` stays, and the directory that it
    names is replaced. One process at a time replaces directories in a folder, the others wait.

    Raises:
        OSError: As the file system has it; see `storage_errors`.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(path.parent) as alone:
        _bring_back(path)
        if alone:
            _remove_abandoned(path)
        stage = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            yield stage
            stage.chmod(0o755)
            for folder, _, _ in os.walk(stage):
                _sync(Path(folder))
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
    above = next(folder for folder in path.parents if folder.exists())
    with _alone_in(above):
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".try", dir=above))
        try:
            (beside / "not-empty").mkdir()
            if path.is_dir():
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
    return [path for path in names if not path.exists()]


def write_durably(file: Path, content: bytes) -> None:
    """Write a file, with the folders on the way, and wait until it is on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name where the file system can, else copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Keep other processes from replacing directories in `folder`; gives False where it has no locks.

    The lock is on the folder itself, so that it leaves no file, and ends with the process that holds it.
    """
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network file systems
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed had begun to fill in the place of `path`."""
    for stage in path.parent.iterdir():
        if stage.name.startswith(f".{path.name}.") and stage.suffix == ".partial" and stage.is_dir():
            shutil.rmtree(stage, ignore_errors=True)


def _is_cut_off(path: Path) -> bool:
    return bool(path.name) and not path.exists() and _old_name(path).is_dir()


def _bring_back(path: Path) -> None:
    if _is_cut_off(path):
        _old_name(path).rename(path)


def _exchange(stage: Path, path: Path) -> None:
    old = _old_name(path)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    stage.rename(path)
    _sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _old_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sync(path: Path) -> None:
    """Wait until a file is on the disk; or a folder, with the renames in it. Windows has no such call for folders."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
