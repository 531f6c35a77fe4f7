"""A file is replaced as a whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from edgerd.errors import StorageError
from edgerd.storage import replaced_file, storage_errors


def test_a_file_is_replaced_with_its_folder_made_on_the_way(tmp_path):
    file = tmp_path / "new" / "folder" / "a.bin"
    for content in (b"one", b"two"):
        with replaced_file(file) as part:
            assert part.parent == file.parent
            part.write_bytes(content)
        assert file.read_bytes() == content
    assert list(file.parent.iterdir()) == [file]


def test_it_may_be_read_by_others(tmp_path):
    with replaced_file(tmp_path / "a.bin"):
        pass
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o644


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
