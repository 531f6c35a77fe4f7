"""Whatever a recipe's file holds, it is read, or it is refused with a place in it: never another exception."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import FILE, FULL, SMALL, spoiled

from edgerd.errors import RecipeError
from edgerd.recipe.load import recipe_from_bytes


def check_that_it_is_read_or_refused(content):
    try:
        recipe_from_bytes(content, FILE)
    except RecipeError as error:
        refusal = error
    else:
        return
    assert re.search(rf"^  {FILE}:\d+:\d+: \S", refusal.what, re.MULTILINE)
    assert len(str(refusal)) < 40_000


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([SMALL, FULL]))
def test_a_spoiled_recipe_is_read_or_refused(source, text):
    check_that_it_is_read_or_refused(spoiled(text, source))


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_recipe_spoiled_many_times_is_read_or_refused(source):
    content = FULL.encode()
    for _ in range(5):
        content = spoiled(content.decode("utf-8", errors="replace"), source)
    check_that_it_is_read_or_refused(content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_junk_is_read_or_refused(content):
    check_that_it_is_read_or_refused(content)


@pytest.mark.parametrize("depth", [10, 100, 300, 600, 900, 5_000])
@pytest.mark.parametrize("kind", ["lists", "tables", "keys"])
def test_any_depth_of_nesting_is_refused(kind, depth):
    text = {
        "lists": "camera = " + "[" * depth + "]" * depth,
        "tables": "x = " + "{ a = [" * depth + "] }" * depth,
        "keys": ".".join("a" * depth) + " = 1",
    }
    with pytest.raises(RecipeError):
        recipe_from_bytes(text[kind].encode(), FILE)


@pytest.mark.slow
@settings(max_examples=12_000, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([SMALL, FULL]), st.integers(1, 4))
def test_ten_thousand_spoiled_recipes_are_read_or_refused(source, text, times):
    content = text.encode()
    for _ in range(times):
        content = spoiled(content.decode("utf-8", errors="replace"), source) or b"\n"
    check_that_it_is_read_or_refused(content)
