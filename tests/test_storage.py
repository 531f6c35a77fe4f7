"""A file is replaced as a whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerd.errors import InputError, StorageError
from edgerd.storage import (
    is_taken,
    link_or_copy,
    only_writer_of,
    replaced_directory,
    replaced_file,
    storage_errors,
    write_durably,
)


@pytest.fixture
def umask():
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def mode_of(path):
    return path.stat().st_mode & 0o777


def test_a_file_is_replaced_with_its_folder_made_on_the_way(tmp_path):
    file = tmp_path / "new" / "folder" / "a.bin"
    for content in (b"one", b"two"):
        with replaced_file(file) as part:
            assert part.parent == file.parent
            part.write_bytes(content)
        assert file.read_bytes() == content
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_mode_that_the_umask_says(tmp_path, umask, mask, mode):
    umask(mask)
    with replaced_file(tmp_path / "a.bin"):
        pass
    with replaced_directory(tmp_path / "folder"):
        pass
    assert mode_of(tmp_path / "a.bin") == mode
    assert mode_of(tmp_path / "folder") == mode | (mode >> 2 & 0o111)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mode=st.integers(0, 0o777))
def test_what_is_replaced_keeps_its_mode(tmp_path, mode):
    file, folder = tmp_path / "a.bin", tmp_path / "folder"
    file.touch()
    folder.mkdir(exist_ok=True)
    file.chmod(mode)
    folder.chmod(mode | 0o700)
    with replaced_file(file) as part:
        part.write_bytes(b"new")
    with replaced_directory(folder):
        pass
    assert (mode_of(file), mode_of(folder)) == (mode, mode | 0o700)


@pytest.mark.parametrize("n_bytes", [1, 200, 255])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, n_bytes):
    for content in (b"one", b"two"):
        with replaced_file(tmp_path / ("f" * n_bytes)) as part:
            part.write_bytes(content)
        with replaced_directory(tmp_path / ("d" * n_bytes)) as stage:
            write_durably(stage / "a", content)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["d" * n_bytes, "f" * n_bytes]
    assert (tmp_path / ("d" * n_bytes) / "a").read_bytes() == (tmp_path / ("f" * n_bytes)).read_bytes() == b"two"


def test_what_a_killed_process_had_begun_is_removed_by_the_next_one(tmp_path):
    code = (
        "import sys, os, signal; from pathlib import Path; from edgerd.storage import replaced_file\n"
        "with replaced_file(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.bin"], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with replaced_file(tmp_path / "a.bin") as mine:  # another one that is at work is left alone
        with replaced_file(tmp_path / "a.bin") as part:
            part.write_bytes(b"first")
        assert mine.exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]


def test_a_copy_between_file_systems_is_on_the_disk_and_keeps_its_mode(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another file system")

    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), real(handle)))
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "a").chmod(0o600)
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_ino in synced
    assert mode_of(tmp_path / "b") == 0o600


class TestOnlyWriter:
    def test_a_second_one_is_told_who_the_first_is(self, tmp_path):
        with only_writer_of(tmp_path / "run"):
            with pytest.raises(InputError, match=f"process {os.getpid()}") as caught, only_writer_of(tmp_path / "run"):
                pass
            assert caught.value.exit_code == 2
        with only_writer_of(tmp_path / "run"):
            pass

    def test_it_leaves_nothing(self, tmp_path):
        with only_writer_of(tmp_path / "a" / "b"):
            assert not is_taken(tmp_path / "a" / "b")
        assert list(tmp_path.iterdir()) == []
        with only_writer_of(tmp_path / "a"):
            (tmp_path / "a" / "result").touch()
        assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["result"]

    def test_a_process_that_was_killed_keeps_nobody_out(self, tmp_path):
        code = (
            "import sys, os, signal; from pathlib import Path; from edgerd.storage import only_writer_of\n"
            "with only_writer_of(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", code, tmp_path / "run"], check=False)
        assert (tmp_path / "run" / ".lock").exists()
        with only_writer_of(tmp_path / "run"):
            pass
        assert not (tmp_path / "run" / ".lock").exists()


def test_a_hint_speaks_of_space_only_where_that_is_missing():
    for number, says_space in ((errno.ENOSPC, True), (errno.EACCES, False), (errno.EROFS, False)):
        with pytest.raises(StorageError) as caught, storage_errors(Path("run/file")):
            raise OSError(number, os.strerror(number))
        assert ("Free some space" in caught.value.hint) is says_space


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("wrong")])
def test_after_an_error_or_an_interrupt_the_old_one_is_there_alone(tmp_path, error):
    file = tmp_path / "a.bin"
    file.write_bytes(b"old")

    def write():
        with replaced_file(file) as part:
            part.write_bytes(b"ne")
            raise error

    with pytest.raises(type(error)):
        write()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_and_the_file_that_it_names_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "a.bin", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with replaced_file(link) as part:
        part.write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EACCES, "denied")],
)
def test_what_the_disk_says_becomes_one_error_with_what_to_do(number, reason):
    match = f"run/file could not be written: .*{reason}"
    with pytest.raises(StorageError, match=match) as caught, storage_errors(Path("run/file"), "Make room."):
        raise OSError(number, os.strerror(number))
    assert caught.value.hint == "Make room."
    assert caught.value.exit_code == 1


def test_a_folder_is_replaced_as_a_whole_too(tmp_path):
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with replaced_directory(path) as stage:
            (stage / "a.txt").write_text(content)
        assert (path / "a.txt").read_text() == content
    with pytest.raises(ZeroDivisionError), replaced_directory(path) as stage:
        (stage / "a.txt").write_text(str(1 / 0))
    assert (path / "a.txt").read_text() == "second"
