"""The page and the schema say what the records say."""

from __future__ import annotations

import json
import re

import pytest
from recipes import FULL, SMALL, loaded

from tools import recipe_page

WRITE = "python tools/recipe_page.py writes it anew"


def test_the_page_is_what_the_records_say():
    assert recipe_page.PAGE.read_text(encoding="utf-8") == recipe_page.page(), WRITE


def test_the_schema_is_what_the_records_say():
    assert recipe_page.SCHEMA.read_text(encoding="utf-8") == recipe_page.schema(), WRITE


def test_every_key_is_explained():
    for name, record in recipe_page.TABLES.items():
        for key in record.model_fields:
            assert key == "type" or recipe_page._meaning(record, key), f"{name}: {key}"


def test_the_example_on_the_page_is_a_recipe():
    (example,) = re.findall(r"```toml\n(.*?)```", recipe_page.page(), re.DOTALL)
    assert loaded(example).recipe == loaded(SMALL).recipe


@pytest.mark.parametrize("text", [SMALL, FULL])
def test_every_key_of_a_recipe_is_in_the_schema(text):
    definitions = json.loads(recipe_page.schema())["$defs"]
    known = {key for definition in definitions.values() for key in definition.get("properties", {})}
    known |= {"camera", "sink", "archive", "outbox", "monitor", "control", "audit"}
    used = set(re.findall(r"^(\w+) =", text, re.MULTILINE))
    assert used
    assert used <= known
