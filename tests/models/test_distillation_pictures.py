"""The pictures that `tiny` is distilled on: whole, seeded, varied, and none of a data set."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("skimage", reason="some pictures are in scikit-image's wheel")
    pytest.importorskip("sklearn", reason="some pictures are in scikit-learn's wheel")
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return importlib.import_module("tools.pictures")


SOURCES = ["photographs", "scenes", "textures", "objects"]


def test_the_sources_are_these(pictures: ModuleType) -> None:
    assert list(pictures.SOURCES) == SOURCES
    assert all(n_pictures > 0 for _, n_pictures in pictures.SOURCES.values())


@pytest.mark.parametrize("source", SOURCES)
def test_a_seed_gives_the_same_varied_pictures(pictures: ModuleType, source: str) -> None:
    maker, _ = pictures.SOURCES[source]
    first, again = (pictures.make_pool(maker, 3, seed=5) for _ in range(2))
    assert first.shape == (3, pictures.POOL_PX, pictures.POOL_PX, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert first.std() > 5


def test_every_texture_can_be_drawn(pictures: ModuleType) -> None:
    textures = importlib.import_module("tools.pictures.textures")
    for draw in textures.TEXTURES:
        picture = draw(np.random.default_rng(0), 64)
        assert picture.shape == (64, 64, 3), draw.__name__
        assert np.isfinite(picture).all(), draw.__name__


def test_every_photograph_is_in_its_wheel_and_in_the_list_of_licences(pictures: ModuleType) -> None:
    photographs = importlib.import_module("tools.pictures.photographs")
    listed = (REPOSITORY / "edgerd" / "models" / "weights" / "README.md").read_text()
    for file in [*photographs.TRAINING, *photographs.HELD_OUT]:
        assert file.is_file()
        assert f"`{file.name}`" in listed
    assert not set(photographs.TRAINING) & set(photographs.HELD_OUT)
