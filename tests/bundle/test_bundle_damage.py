"""A bundle that was changed, cut or led elsewhere is refused, and the error names the cause."""

import errno
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from bundle_parts import FILES, flip, manifest_of, rewrite

from edgerd.bundle.bundle import Bundle, save_bundle
from edgerd.bundle.manifest import (
    GRAPH_FILE,
    SCHEMA_VERSION,
)
from edgerd.errors import BundleDamagedError, BundleError, BundleVersionError


class TestDamage:
    @pytest.mark.parametrize("name", list(FILES))
    def test_a_changed_byte_in_any_file(self, bundle, name):
        for position in range(len(FILES[name])):
            flip(bundle.path / name, position)
            with pytest.raises(BundleDamagedError, match=Path(name).name) as caught:
                bundle.read(name)
            assert caught.value.exit_code == 3
            with pytest.raises(BundleDamagedError):
                Bundle.open(bundle.path).verify()
            flip(bundle.path / name, position)
        assert Bundle.open(bundle.path).verify() == len(FILES)

    def test_a_changed_byte_anywhere_in_the_manifest(self, bundle):
        file = bundle.path / "bundle.json"
        for position in range(0, file.stat().st_size, 5):
            flip(file, position)
            with pytest.raises(BundleError, match=r"bundle\.json|schema version"):
                Bundle.open(bundle.path)
            flip(file, position)
        assert Bundle.open(bundle.path).verify() == len(FILES)

    @pytest.mark.parametrize("content", ["", "{", "[]", '"schema_version"', "null", "{}", "[" * 100_000, "\xff"])
    def test_a_manifest_that_is_none(self, bundle, content):
        (bundle.path / "bundle.json").write_bytes(content.encode("latin-1"))
        with pytest.raises(BundleDamagedError, match=r"bundle\.json cannot be read"):
            Bundle.open(bundle.path)

    def test_a_manifest_cut_anywhere(self, bundle):
        content = (bundle.path / "bundle.json").read_bytes()
        for length in range(0, len(content), 50):
            (bundle.path / "bundle.json").write_bytes(content[:length])
            with pytest.raises(BundleDamagedError):
                Bundle.open(bundle.path)

    @pytest.mark.parametrize("key", ["model", "files", "limits", "sha256"])
    def test_a_manifest_that_lacks_something(self, bundle, key):
        content = json.loads((bundle.path / "bundle.json").read_text())
        del content[key]
        (bundle.path / "bundle.json").write_text(json.dumps(content))
        with pytest.raises(BundleDamagedError):
            Bundle.open(bundle.path)

    @pytest.mark.parametrize(
        ("edit", "match"),
        [
            (lambda content: content.pop("model"), "model"),
            (lambda content: content.update(extra=1), "extra"),
            (lambda content: content["limits"].update(mean_low="dark"), "mean_low"),
            (lambda content: content["limits"].update(mean_low=float("nan")), "mean_low"),
            (lambda content: content["files"].pop("pictures/holdout/1.png"), "has no hash"),
            (lambda content: content.update(id="0" * 64), "not the hash of its graph"),
            (lambda content: content["preprocess"].update(height=512), "not the hash of its graph"),
            (lambda content: content["files"].pop(GRAPH_FILE), "not the hash of its graph"),
        ],
    )
    def test_a_manifest_that_does_not_hold_together_although_sealed(self, bundle, edit, match):
        rewrite(bundle.path, edit)
        with pytest.raises(BundleDamagedError, match=match):
            Bundle.open(bundle.path).verify()

    @pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99, "2", 1.5, None])
    def test_a_newer_schema_says_so_whatever_else_is_in_it(self, bundle, version):
        rewrite(bundle.path, lambda content: content.update(schema_version=version, unheard_of=True))
        with pytest.raises(BundleVersionError, match=f"schema version {version}") as caught:
            Bundle.open(bundle.path)
        assert caught.value.exit_code == 3
        assert "upgrade" in str(caught.value)

    def test_a_file_that_is_missing(self, bundle):
        (bundle.path / GRAPH_FILE).unlink()
        with pytest.raises(BundleDamagedError, match="No such file"):
            bundle.read(GRAPH_FILE)

    def test_a_file_that_is_not_listed(self, bundle):
        (bundle.path / "more.bin").write_bytes(b"")
        with pytest.raises(BundleDamagedError, match="not part of the bundle"):
            bundle.read("more.bin")


class TestPathsThatLeave:
    @pytest.mark.parametrize(
        "name", ["../secret", "pictures/../../secret", "/etc/hostname", "", ".", "a//b", "./a", "a\\..\\b", "C:secret"]
    )
    def test_names(self, bundle, name):
        (bundle.path.parent / "secret").write_bytes(b"x")
        record = {"sha256": hashlib.sha256(b"x").hexdigest(), "n_bytes": 1}
        rewrite(bundle.path, lambda content: content["files"].update({name: record}))
        with pytest.raises(BundleDamagedError, match="leaves the bundle") as caught:
            Bundle.open(bundle.path)
        assert caught.value.exit_code == 3

    @pytest.mark.parametrize("target", ["../secret", "/etc/hostname"])
    def test_links(self, bundle, target):
        (bundle.path.parent / "secret").write_bytes(FILES[GRAPH_FILE])
        (bundle.path / GRAPH_FILE).unlink()
        (bundle.path / GRAPH_FILE).symlink_to(target)
        with pytest.raises(BundleDamagedError, match="lies outside"):
            bundle.read(GRAPH_FILE)

    def test_a_folder_that_is_a_link(self, bundle):
        outside = bundle.path.parent / "outside"
        shutil.move(bundle.path / "pictures", outside)
        (bundle.path / "pictures").symlink_to(outside)
        with pytest.raises(BundleDamagedError, match="lies outside"):
            bundle.verify()

    def test_links_in_a_circle(self, bundle):
        (bundle.path / GRAPH_FILE).unlink()
        (bundle.path / GRAPH_FILE).symlink_to(GRAPH_FILE)
        with pytest.raises(BundleDamagedError):
            bundle.read(GRAPH_FILE)

    def test_a_zero_byte_in_a_name(self, bundle):
        record = {"sha256": "0" * 64, "n_bytes": 0}
        rewrite(bundle.path, lambda content: content["files"].update({"a\0b": record}))
        with pytest.raises(BundleDamagedError):
            Bundle.open(bundle.path).verify()

    def test_a_link_inside_is_fine(self, bundle):
        (bundle.path / "copy.onnx").write_bytes(FILES[GRAPH_FILE])
        (bundle.path / GRAPH_FILE).unlink()
        (bundle.path / GRAPH_FILE).symlink_to("copy.onnx")
        assert bundle.read(GRAPH_FILE) == FILES[GRAPH_FILE]


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    made = save_bundle(tmp_path / "b", manifest_of(FILES), FILES)

    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for use in (lambda: made.read(next(iter(FILES))), lambda: Bundle.open(made.path)):
        with pytest.raises(BundleError, match="Permission denied") as caught:
            use()
        assert not isinstance(caught.value, BundleDamagedError)
        assert "permissions" in caught.value.hint
