"""What is saved as a bundle opens again, is found, and replaces nothing that is no bundle."""

import errno
import os
from pathlib import Path

import pytest
from bundle_parts import FILES, flip, manifest_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerd.bundle.bundle import Bundle, find_bundle, save_bundle
from edgerd.bundle.manifest import (
    GRAPH_FILE,
    PreprocessSpec,
    ThresholdRecord,
    TileSpec,
)
from edgerd.errors import BundleDamagedError, BundleError


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

    def test_a_top_level_file_can_be_left_out(self, bundle):
        assert set(bundle.save_with(bundle.manifest, without=["teacher.txt"]).manifest.files) == {*FILES} - {
            "teacher.txt"
        }

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


def test_files_of_a_bundle_keep_their_modes_when_it_is_saved_again(tmp_path):
    made = save_bundle(tmp_path / "b", manifest_of(FILES), FILES)
    made.path.chmod(0o700)
    for name in ("bundle.json", *FILES):
        (made.path / name).chmod(0o600)
    made.save_with(made.manifest, dict.fromkeys(list(FILES)[:1], b"new"))
    assert made.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in made.path.rglob("*") if file.is_file()} == {0o600}
