"""The recipe of a line, `edgerd.toml`: cameras with their bundles and thresholds, sinks, archive, outbox.

    loaded = load_recipe("edgerd.toml")
    for camera in loaded.recipe.cameras:
        print(camera.name, camera.first_product)

Everything it says is checked when it is loaded, and nothing that it names is opened.
"""

from __future__ import annotations

from edgerd.recipe.load import LoadedRecipe, load_recipe
from edgerd.recipe.recipe import Recipe

__all__ = ["LoadedRecipe", "Recipe", "load_recipe"]
