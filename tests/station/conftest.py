"""Recipes of lines over a small bundle."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.recipe import LoadedRecipe, load_recipe


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def recipe_of(bundle: Bundle, tmp_path: Path) -> Callable[[str], LoadedRecipe]:
    """Write a recipe into a folder, `{bundle}` standing for a bundle's path, and load it."""

    def write(text: str) -> LoadedRecipe:
        file = tmp_path / "edgerd.toml"
        file.write_text(text.replace("{bundle}", str(bundle.path)))
        return load_recipe(file)

    return write
