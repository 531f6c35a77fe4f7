import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerd import storage
from edgerd.bundle.bundle import Bundle, bundle_id, check_can_save, find_bundle, save_bundle
from edgerd.bundle.manifest import (
    GRAPH_FILE,
    SCHEMA_VERSION,
    Manifest,
    ModelRecord,
    PictureLimits,
    PreprocessSpec,
    ThresholdRecord,
    TileSpec,
    TrainingRecord,
)
from edgerd.errors import BundleDamagedError, BundleError, BundleVersionError, StorageError

PICTURES = {f"pictures/holdout/{index}.png": bytes([index]) * 40 for index in range(3)}
FILES = {GRAPH_FILE: b"the graph", "teacher.txt": b"licence", **PICTURES}


def manifest_of(files, **more):
    spec = more.pop("preprocess", PreprocessSpec())
    fields = {
        "id": bundle_id(hashlib.sha256(files[GRAPH_FILE]).hexdigest(), spec),
        "created_at": "2026-01-02T03:04:05+00:00",
        "edgerd_version": "0.1.0",
        "model": ModelRecord(teacher="lite0", student="light", teacher_sha256="ab" * 32),
        "training": TrainingRecord(
            method="edge", seed=1, epochs=2, steps=30, batch_size=4, n_train=8, n_holdout=8, n_skipped=1,
            data_fingerprint="cd" * 32,
        ),
        "preprocess": spec,
        "limits": PictureLimits(mean_low=10.5, mean_high=250.25, contrast_low=1.125),
        "holdout": tuple(name for name in files if name.startswith("pictures/")),
    }  # fmt: skip
    return Manifest(**(fields | more))


@pytest.fixture
def bundle(tmp_path):
    return save_bundle(tmp_path / "bundle", manifest_of(FILES), FILES)


def rewrite(path, edit):
    """Change the manifest and give it the seal that edgerd would have given it."""
    content = json.loads((path / "bundle.json").read_text())
    edit(content)
    content["sha256"] = "0" * 64
    text = json.dumps(content)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (path / "bundle.json").write_text(text.replace("0" * 64, digest, 1))


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


class TestRoundTrip:
    names = st.from_regex(r"[a-z0-9_][a-zA-Z0-9_. -]{0,8}", fullmatch=True)
    paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join(["pictures", *parts, "x.png"]))

    @given(
        pictures=st.dictionaries(paths, st.binary(max_size=50), max_size=5),
        graph=st.binary(min_size=1, max_size=50),
        value=st.floats(0, 6),
        spec=st.builds(
            PreprocessSpec,
            height=st.sampled_from([32, 256]),
            tiles=st.builds(TileSpec, rows=st.integers(1, 4), columns=st.integers(1, 4), overlap=st.floats(0, 0.8)),
            colour_standard=st.sampled_from(["bt601", "bt709"]),
        ),
    )
    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_saved_is_what_opens(self, tmp_path, pictures, graph, value, spec):
        threshold = ThresholdRecord(
            value=value, false_alarm_rate=0.01, n_good=8, rank=8, extrapolated=False, largest_score=value,
            realised_rate_90=(0.1, 0.2), n_more_needed=0,
        )  # fmt: skip
        files = {GRAPH_FILE: graph, **pictures}
        saved = save_bundle(tmp_path / "b", manifest_of(files, threshold=threshold, preprocess=spec), files)
        opened = Bundle.open(tmp_path / "b")
        assert opened.manifest == saved.manifest
        assert opened.manifest.threshold == threshold
        assert opened.manifest.preprocess == spec
        assert {name: opened.read(name) for name in opened.manifest.files} == files
        assert opened.verify() == len(files)

    def test_nothing_is_left_beside_it(self, bundle):
        bundle.save_with(bundle.manifest)
        assert [entry.name for entry in bundle.path.parent.iterdir()] == ["bundle"]
        on_disk = {path.relative_to(bundle.path).as_posix() for path in bundle.path.rglob("*") if path.is_file()}
        assert on_disk == {"bundle.json", *FILES}

    def test_saving_again_keeps_named_and_top_level_files_and_drops_the_rest(self, bundle):
        kept, dropped = bundle.manifest.holdout[:1], bundle.manifest.holdout[1:]
        new = bundle.save_with(bundle.manifest.model_copy(update={"holdout": kept}), {"engines/e.bin": b"engine"})
        assert set(new.manifest.files) == {GRAPH_FILE, "teacher.txt", *kept, "engines/e.bin"}
        assert new.verify() == 4
        assert not any((bundle.path / name).exists() for name in dropped)

    def test_a_file_can_be_replaced(self, bundle):
        new = bundle.save_with(bundle.manifest, {"teacher.txt": b"another"})
        assert new.read("teacher.txt") == b"another"

    def test_a_damaged_file_is_not_made_good_by_saving_again(self, bundle):
        flip(bundle.path / GRAPH_FILE, 0)
        with pytest.raises(BundleDamagedError):
            bundle.save_with(bundle.manifest).verify()

    def test_a_missing_file_is_noticed_before_saving_again(self, bundle):
        (bundle.path / GRAPH_FILE).unlink()
        with pytest.raises(BundleDamagedError, match="missing"):
            bundle.save_with(bundle.manifest)

    def test_file_systems_without_hard_links(self, bundle, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        assert bundle.save_with(bundle.manifest).verify() == len(FILES)

    def test_an_empty_folder_may_become_a_bundle(self, tmp_path):
        (tmp_path / "new").mkdir()
        assert save_bundle(tmp_path / "new", manifest_of(FILES), FILES).verify() == len(FILES)

    def test_folders_on_the_way_are_made(self, tmp_path):
        assert save_bundle(tmp_path / "a/b/c", manifest_of(FILES), FILES).verify() == len(FILES)

    def test_a_link_stays_a_link(self, bundle, tmp_path):
        (tmp_path / "current").symlink_to("bundle")
        for seed in (5, 6):
            current = Bundle.open(tmp_path / "current")
            training = current.manifest.training.model_copy(update={"seed": seed})
            current.save_with(current.manifest.model_copy(update={"training": training}))
        assert (tmp_path / "current").is_symlink()
        assert Bundle.open(bundle.path).manifest.training.seed == 6

    def test_from_inside_the_bundle(self, bundle, monkeypatch):
        monkeypatch.chdir(bundle.path)
        assert Bundle.open(".").verify() == len(FILES)
        assert find_bundle() == Path()


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


class TestNoBundle:
    @pytest.mark.parametrize("name", ["absent", "empty", "file"])
    def test_says_how_to_make_one(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("")
        with pytest.raises(BundleError, match="no bundle") as caught:
            Bundle.open(tmp_path / name)
        assert "edgerd export" in str(caught.value)

    @pytest.mark.parametrize("name", ["file", "folder"])
    def test_other_peoples_files_are_not_replaced(self, tmp_path, name):
        (tmp_path / "file").write_text("mine")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "mine.txt").write_text("mine")
        with pytest.raises(BundleError, match="is not a bundle"):
            save_bundle(tmp_path / name, manifest_of(FILES), FILES)
        assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "mine.txt").read_text() == "mine"

    def test_a_run_is_told_from_a_bundle(self, tmp_path):
        (tmp_path / "run.json").write_text("{}")
        with pytest.raises(BundleError, match=rf"{tmp_path} is a run\. edgerd export {tmp_path} -o BUNDLE"):
            Bundle.open(tmp_path)


class TestFind:
    def save(self, path, age_s):
        save_bundle(path, manifest_of(FILES), FILES)
        os.utime(path / "bundle.json", (1e9 - age_s, 1e9 - age_s))
        return path

    def test_the_newest_up_to_two_levels_below(self, tmp_path):
        self.save(tmp_path / "old", 30)
        self.save(tmp_path / "runs/too/deep", 0)
        newest = self.save(tmp_path / "runs/newest", 10)
        self.save(tmp_path / "runs/.hidden", 0)
        assert find_bundle(tmp_path) == newest

    def test_none(self, tmp_path):
        with pytest.raises(BundleError, match="no bundle") as caught:
            find_bundle(tmp_path)
        assert "edgerd train" in str(caught.value)

    @pytest.mark.parametrize("place", ["bundle", "runs/bundle"])
    def test_one_whose_replacing_was_cut_off(self, tmp_path, place):
        path = self.save(tmp_path / place, 0)
        path.rename(path.with_name(".bundle.old"))
        assert find_bundle(tmp_path) == path
        assert Bundle.open(path).verify() == len(FILES)


class Killed(BaseException):
    """The process ends here: nothing that follows, not even cleaning up, has an effect."""


STEPS = [
    (Path, "mkdir"),
    (Path, "open"),
    (Path, "rename"),
    (Path, "chmod"),
    (os, "link"),
    (os, "fsync"),
    (shutil, "copyfile"),
    (shutil, "rmtree"),
    (tempfile, "mkdtemp"),
]


def break_at(monkeypatch, step, failure, *, for_good):
    """Let the step-th action on the disk fail, and all after it too where the failure is for good."""
    n_actions = 0

    def breaking(action):
        def call(*arguments, **options):
            nonlocal n_actions
            n_actions += 1
            if n_actions == step + 1 or (for_good and n_actions > step):
                if action is rmtree and n_actions == step + 1:
                    remove_half(arguments[0])
                raise failure
            return action(*arguments, **options)

        return call

    rmtree = shutil.rmtree
    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, breaking(getattr(owner, name)))
    return lambda: n_actions > step


def remove_half(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    for file in files[::2]:
        file.unlink()


def save_with_seed(path, seed):
    """A first bundle, or the one at `path` with another seed and a graph that is written anew."""
    base = Bundle.open(path) if path.exists() else None
    manifest = manifest_of(FILES)
    training = manifest.training.model_copy(update={"seed": seed})
    files = {GRAPH_FILE: FILES[GRAPH_FILE]} if base else FILES
    return lambda: save_bundle(path, manifest.model_copy(update={"training": training}), files, base=base)


def saves_cut_off(path, seed, failure, *, for_good):
    """Try to save, broken at the first action, at the second, ... until it goes through; yields after each try."""
    for step in range(1000):
        save = save_with_seed(path, seed)
        with pytest.MonkeyPatch.context() as monkeypatch:
            broke = break_at(monkeypatch, step, failure, for_good=for_good)
            with contextlib.suppress(Killed, KeyboardInterrupt, StorageError, BundleError):
                save()
            if not broke():
                return
        yield step


class TestInterrupted:
    @pytest.mark.parametrize("failure", [Killed(), KeyboardInterrupt()], ids=["killed", "Ctrl-C"])
    def test_at_every_step_the_old_or_the_new_one_opens(self, tmp_path, failure):
        path = tmp_path / "bundle"
        save_with_seed(path, 1)()
        seen = set()
        for _ in saves_cut_off(path, 2, failure, for_good=isinstance(failure, Killed)):
            opened = Bundle.open(path)
            assert opened.verify() == len(FILES)
            seen.add(opened.manifest.training.seed)
            save_with_seed(path, 1)()
        assert seen == {1, 2}
        assert Bundle.open(path).manifest.training.seed == 2

    def test_twice_in_a_row(self, tmp_path):
        """The second save finds the old one where the first left it, and must not take it for rubbish."""
        path = tmp_path / "bundle"
        save_with_seed(path, 1)()
        path.rename(tmp_path / ".bundle.old")
        for _ in saves_cut_off(path, 2, Killed(), for_good=True):
            assert Bundle.open(path).verify() == len(FILES)
            shutil.rmtree(tmp_path / ".bundle.old", ignore_errors=True)
            path.rename(tmp_path / ".bundle.old")

    def test_the_first_save_leaves_nothing_or_all(self, tmp_path):
        path = tmp_path / "bundle"
        for _ in saves_cut_off(path, 2, KeyboardInterrupt(), for_good=False):
            if path.exists():
                assert Bundle.open(path).verify() == len(FILES)
                shutil.rmtree(path)
            assert not any(entry.name.endswith(".partial") for entry in tmp_path.iterdir())

    def test_what_a_killed_save_had_begun_is_removed_by_the_next(self, bundle):
        begun, others = (bundle.path.with_name(f".{name}.k1ll3d.partial") for name in ("bundle", "bundle2"))
        for folder in (begun, others):
            (folder / "pictures").mkdir(parents=True)
        bundle.save_with(bundle.manifest)
        assert not begun.exists()
        assert others.exists()


class TestTwoAtOnce:
    def test_what_another_command_has_written_meanwhile_is_not_undone(self, bundle):
        ours = Bundle.open(bundle.path)
        theirs = save_with_seed(bundle.path, 2)()
        with pytest.raises(BundleError, match="changed by another command"):
            ours.save_with(ours.manifest, {"teacher.txt": b"new"})
        assert Bundle.open(bundle.path).manifest == theirs.manifest
        assert Bundle.open(bundle.path).verify() == len(FILES)

    def test_opening_in_the_middle_of_a_save_waits_and_does_not_disturb_it(self, bundle, monkeypatch):
        really_rename, opened = Path.rename, []

        def rename(path, target):
            really_rename(path, target)
            if path == bundle.path:
                reader.start()
                reader.join(0.2)

        reader = threading.Thread(target=lambda: opened.append(Bundle.open(bundle.path)))
        monkeypatch.setattr(Path, "rename", rename)
        save_with_seed(bundle.path, 2)()
        reader.join()
        assert opened[0].manifest.training.seed == 2


class TestDiskFull:
    def test_at_every_step_the_old_or_the_new_one_opens(self, tmp_path):
        path = tmp_path / "bundle"
        save_with_seed(path, 1)()
        for _ in saves_cut_off(path, 2, OSError(errno.ENOSPC, "No space left on device"), for_good=False):
            assert Bundle.open(path).verify() == len(FILES)

    def test_nothing_more_can_be_written(self, bundle, monkeypatch):
        really_open = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda self, mode="r", *more: really_open(Path("/dev/full") if "w" in mode else self, mode, *more),
        )
        with pytest.raises(StorageError, match="the disk is full") as caught:
            bundle.save_with(bundle.manifest, {"engines/e.bin": b"x" * 10_000})
        monkeypatch.undo()
        assert caught.value.exit_code == 1
        assert "unchanged" in str(caught.value)
        assert Bundle.open(bundle.path).manifest == bundle.manifest
        assert bundle.verify() == len(FILES)
        assert [entry.name for entry in bundle.path.parent.iterdir()] == ["bundle"]

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="could not be written"):
            save_bundle(tmp_path / "file" / "bundle", manifest_of(FILES), FILES)

    def test_opening_where_the_old_one_cannot_be_brought_back(self, bundle, monkeypatch):
        bundle.path.rename(bundle.path.with_name(".bundle.old"))

        def refuse(*_):
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(Path, "rename", refuse)
        with pytest.raises(StorageError, match="Read-only file system"):
            Bundle.open(bundle.path)


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

    def test_a_top_level_file_can_be_left_out(self, bundle):
        assert set(bundle.save_with(bundle.manifest, without=["teacher.txt"]).manifest.files) == {*FILES} - {
            "teacher.txt"
        }


def test_replacing_any_directory(tmp_path):
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with storage.replaced_directory(path) as stage:
            (stage / "a.txt").write_text(content)
        assert (path / "a.txt").read_text() == content
    with pytest.raises(ZeroDivisionError), storage.replaced_directory(path) as stage:
        (stage / "a.txt").write_text(str(1 / 0))
    assert (path / "a.txt").read_text() == "second"


def test_files_of_a_bundle_keep_their_modes_when_it_is_saved_again(tmp_path):
    made = save_bundle(tmp_path / "b", manifest_of(FILES), FILES)
    made.path.chmod(0o700)
    for name in ("bundle.json", *FILES):
        (made.path / name).chmod(0o600)
    made.save_with(made.manifest, dict.fromkeys(list(FILES)[:1], b"new"))
    assert made.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in made.path.rglob("*") if file.is_file()} == {0o600}


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
