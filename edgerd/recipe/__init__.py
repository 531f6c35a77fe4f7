"""The recipe of a line, `edgerd.toml`: cameras with their bundles and thresholds, sinks, archive, outbox.

    loaded = load_recipe("edgerd.toml")
    for camera in loaded.recipe.cameras:
        print(camera.name, camera.first_product)

Everything it says is checked when it is loaded, and nothing that it names is opened.
"""

from __future__ import annotations

from edgerd.recipe.camera import Camera, camera_name
from edgerd.recipe.load import RECIPE_FILE, LoadedRecipe, load_recipe, recipe_from_flags
from edgerd.recipe.product import Mask, Place, Product
from edgerd.recipe.recipe import Recipe
from edgerd.recipe.secrets import read_secret

__all__ = [
    "RECIPE_FILE",
    "Camera",
    "LoadedRecipe",
    "Mask",
    "Place",
    "Product",
    "Recipe",
    "camera_name",
    "load_recipe",
    "read_secret",
    "recipe_from_flags",
]
