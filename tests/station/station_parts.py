"""Recipes of stations, and stations that run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgerd.recipe import LoadedRecipe
from edgerd.station.station import Station

RecipeOf = Callable[[str], LoadedRecipe]

LIVE = """
[[camera]]
name = "belt"
uri = "sample://ring?live=1&fps=200&size=96&pool=20&defective=0.5"
bundle = "{bundle}"
threshold = 0.4
policy = "part"

[[sink]]
type = "jsonl"
path = "alerts.jsonl"
"""


def station_of(loaded: LoadedRecipe, **options: Any) -> Station:
    warnings: list[str] = []
    return Station(loaded, say=lambda _: None, warn=warnings.append).open(**options)
