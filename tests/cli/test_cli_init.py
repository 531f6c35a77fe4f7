"""`edgerd init`: tries a camera and writes a recipe that can be loaded."""

from __future__ import annotations

import shutil

import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import RegionSpec
from edgerd.recipe import load_recipe


@pytest.fixture
def folder(tmp_path, bundle, monkeypatch):
    """A folder with a bundle in it, as the current one."""
    shutil.move(bundle.path, tmp_path / "my bundle")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_can_be_loaded(edgerd, folder):
    result = edgerd("init", "--camera", "sample://ring?size=96")
    assert result.exit_code == 0, result.err
    assert "96x96" in result.out
    assert "edgerd run --recipe edgerd.toml --check" in result.out
    (camera,) = load_recipe(folder / "edgerd.toml").recipe.cameras
    assert (camera.uri, camera.bundle) == ("sample://ring?size=96", folder / "my bundle")
    assert 'bundle = "my bundle"' in (folder / "edgerd.toml").read_text()


def test_paths_are_relative_to_the_recipe(edgerd, folder, parts):
    result = edgerd("init", "--camera", parts / "train" / "good", "-o", "line/a.toml", "--bundle", "my bundle")
    assert result.exit_code == 0, result.err
    (camera,) = load_recipe("line/a.toml").recipe.cameras
    assert (camera.uri, camera.bundle) == (str(parts / "train" / "good"), folder / "my bundle")


def test_a_file_that_is_there_stays(edgerd, folder):
    (folder / "edgerd.toml").write_text("mine")
    result = edgerd("init", "--camera", "sample://ring")
    assert result.exit_code == 2
    assert "-o" in result.err
    assert (folder / "edgerd.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("uri", "code"), [("/dev/video9999", 4), ("nothing.mp4", 4), ("rtps://10.0.0.3", 2), ("sample://ring?n=x", 2)]
)
def test_without_a_camera_nothing_is_written(edgerd, folder, uri, code):
    result = edgerd("init", "--camera", uri)
    assert result.exit_code == code, result.err
    assert not (folder / "edgerd.toml").exists()


def test_without_a_bundle_nothing_is_written(edgerd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert edgerd("init", "--camera", "sample://ring").exit_code == 3
    assert not list(tmp_path.iterdir())


def test_a_region_that_leaves_the_frame_is_named(edgerd, folder):
    bundle = Bundle.open("my bundle")
    spec = bundle.manifest.preprocess.model_copy(update={"region": RegionSpec(x=0, y=0, width=200, height=50)})
    bundle.save_with(bundle.manifest.model_copy(update={"preprocess": spec}))
    result = edgerd("init", "--camera", "sample://ring?size=96")
    assert result.exit_code == 2
    assert "0,0,200,50" in result.err
    assert not (folder / "edgerd.toml").exists()
