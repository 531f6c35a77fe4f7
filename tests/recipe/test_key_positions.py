"""Every key that tomllib finds in a text has a position, and the key stands there."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import FULL, ODD_VALUES, SMALL, spoiled

from edgerd.recipe.positions import Position, key_positions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

bare_keys = st.sampled_from(["a", "b", "key", "0", "x-y", "with_underscore"])
quoted_keys = st.sampled_from(['"a b"', "'c.d'", '"\\u00e9"', '""', "'#'", '"]"'])
keys = st.lists(bare_keys | quoted_keys, min_size=1, max_size=3).map(" . ".join)
strings = st.sampled_from(
    ['"#"', "'='", '"""\n"" ] }"""', "'''\n[x]\n'''''", '"\\""', '""', "''", '""""""', '"""a\\\n  b"""""']
)
scalars = st.sampled_from(["1", "-1.5e3", "true", "1979-05-27 07:32:00Z", "inf"]) | strings
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ # ]\n" + " ,\n".join(items) + "\n]")
        | st.lists(st.tuples(bare_keys, inner), max_size=3).map(
            lambda items: "{ " + " , ".join(f"{key} = {value}" for key, value in items) + " }"
        )
    ),
    max_leaves=5,
)
lines = (
    st.tuples(keys, values).map(lambda pair: f"\t{pair[0]} = {pair[1]} # a comment with = and [")
    | keys.map(lambda key: f"[ {key} ]")
    | keys.map(lambda key: f"[[{key}]]")
    | st.just("")
)


def paths(value, path=()):
    """Every path in parsed TOML."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield (*path, step)
        yield from paths(item, (*path, step))


def written_at(text, position):
    return text.split("\n")[position.line - 1][position.column - 1 :]


def assert_each_key_is_found(text):
    data = tomllib.loads(text)
    positions = key_positions(text)
    assert set(positions) == set(paths(data))
    for path, position in positions.items():
        if isinstance(path[-1], str):
            found = written_at(text, position)
            quoted = found[:1] in "\"'"
            assert quoted or found.startswith(path[-1]), (path, position)


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=8).map("\n".join))
def test_every_key_of_any_toml_has_its_position(text):
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert_each_key_is_found(text)


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_key_of_a_spoiled_recipe_that_is_still_toml(source):
    content = spoiled(FULL, source)
    try:
        text = content.decode("utf-8-sig")
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    assert_each_key_is_found(text.replace("\r\n", "\n"))


@pytest.mark.parametrize("value", [value for value in ODD_VALUES if len(value) < 300 and value != "9" * 5000])
def test_the_key_behind_an_odd_value_is_found(value):
    assert key_positions(f"a = {value}\nb = 1\n")["b",] == Position(2, 1)


def test_lines_and_columns_count_from_one():
    positions = key_positions(SMALL)
    assert positions["camera",] == Position(1, 3)
    assert positions["camera", 0] == Position(1, 3)
    assert positions["camera", 0, "uri"] == Position(2, 1)
    positions = key_positions(FULL)
    assert positions["camera", 0, "masks", 1, "polygon", 2] == Position(9, 35)
    assert positions["camera", 0, "products", "bolt-8", "index"] == Position(25, 1)
    assert positions["camera", 1, "name"] == Position(28, 1)
    assert positions["sink", 4, "address"] == Position(70, 1)
