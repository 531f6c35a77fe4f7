"""Commands find out whether a bundle can be saved before they work for hours."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
from bundle_parts import FILES, manifest_of

from edgerd.bundle.bundle import Bundle, check_can_save, save_bundle
from edgerd.errors import BundleError, StorageError


class TestCanSave:
    def test_where_it_can_nothing_is_left(self, bundle, tmp_path):
        before = sorted(tmp_path.rglob("*"))
        check_can_save(bundle.path, in_place=True)
        check_can_save(tmp_path / "new" / "bundle")
        assert sorted(tmp_path.rglob("*")) == before
        assert Bundle.open(bundle.path).verify()

    def test_a_link_is_followed(self, bundle, tmp_path):
        (tmp_path / "current").symlink_to("bundle")
        check_can_save(tmp_path / "current", in_place=True)

    @pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
    @pytest.mark.parametrize("where", ["beside", "inside"])
    def test_no_permission(self, bundle, monkeypatch, number, where):
        really_make, folder = tempfile.mkdtemp, bundle.path.parent if where == "beside" else bundle.path

        def make(**named):
            if named["dir"] == folder:
                raise OSError(number, os.strerror(number))
            return really_make(**named)

        monkeypatch.setattr(tempfile, "mkdtemp", make)
        with pytest.raises(StorageError, match=os.strerror(number)) as caught:
            check_can_save(bundle.path, in_place=True)
        assert "-o" not in caught.value.hint
        assert "copy the bundle" in caught.value.hint
        assert [entry.name for entry in bundle.path.parent.iterdir()] == ["bundle"]

    def test_a_folder_that_is_mounted_cannot_be_renamed(self, bundle, monkeypatch):
        def busy(*_):
            raise OSError(errno.EBUSY, "Device or resource busy")

        monkeypatch.setattr(Path, "rename", busy)
        with pytest.raises(StorageError, match="busy") as caught:
            check_can_save(bundle.path, in_place=True)
        assert "mount the folder above" in caught.value.hint
        assert [entry.name for entry in bundle.path.parent.iterdir()] == ["bundle"]

    def test_what_is_no_bundle_is_refused(self, tmp_path):
        (tmp_path / "a.txt").write_text("")
        with pytest.raises(BundleError, match="not a bundle"):
            check_can_save(tmp_path)

    def test_a_save_in_place_does_not_speak_of_another_place(self, bundle, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("edgerd.bundle.bundle.write_durably", full)
        with pytest.raises(StorageError) as caught:
            bundle.save_with(bundle.manifest)
        assert "-o" not in caught.value.hint
        with pytest.raises(StorageError) as caught:
            save_bundle(bundle.path.with_name("new"), manifest_of(FILES), FILES)
        assert "-o" in caught.value.hint
