"""Reading a recipe: bytes -> text -> TOML -> records, with every error at its line and column."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from edgerd.errors import InputError, RecipeError
from edgerd.paths import is_file, is_locked, why_missing
from edgerd.recipe.camera import Camera
from edgerd.recipe.positions import KeyPath, Position, key_positions
from edgerd.recipe.problems import Problem, problems_of
from edgerd.recipe.recipe import Recipe, misfits_between
from edgerd.recipe.records import FOLDER, MisfitError
from edgerd.recipe.sinks import Sink

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPE_FILE: Final = "edgerd.toml"
"""What a recipe is called where nothing else is said."""
_MAX_BYTES: Final = 1 << 20
_MAX_LISTED: Final = 50
_TOO_LARGE: Final = "a whole number has more than 64 bits"
_T = TypeVar("_T")
_CAMERA: Final = TypeAdapter(Camera)
_SINK: Final[TypeAdapter[Sink]] = TypeAdapter(Sink)
_PLACE_IN_MESSAGE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A recipe and where it is from.

    Attributes:
        recipe: What it says.
        sha256: 64 hex digits: the hash of the file's bytes.
        file: The file.
    """

    recipe: Recipe
    sha256: str
    file: Path


def load_recipe(file: str | Path) -> LoadedRecipe:
    """Read and check a recipe. Bundles, cameras and secrets that it names are not looked at.

    Args:
        file: TOML, UTF-8, with or without a byte order mark. Relative paths in it begin at its folder.

    Raises:
        RecipeError: It has errors. All that can be found at once are listed, each with line and column.
        InputError: There is no such file, it cannot be read, or is larger than a recipe can be.
    """
    file = Path(file)
    return recipe_from_bytes(read_recipe_file(file), file)


def read_recipe_file(file: Path) -> bytes:
    """The bytes of a recipe.

    Raises:
        InputError: There is no such file, it cannot be read, or is larger than a recipe can be.
    """
    expected = f"a recipe such as {RECIPE_FILE}"
    if not is_file(file) and not is_locked(file):
        raise InputError(why_missing(file, "recipe"), expected=expected, hint="edgerd init writes one.")
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
    if len(content) > _MAX_BYTES:
        raise InputError(f"{file} has more than {_MAX_BYTES} bytes.", expected=expected, hint="edgerd init writes one.")
    return content


def recipe_from_bytes(content: bytes, file: Path) -> LoadedRecipe:
    """Check the bytes of a recipe.

    Args:
        content: As they stand in the file.
        file: Where they are from, for messages and relative paths.

    Raises:
        RecipeError: It has errors.
    """
    text = _decoded(content, file).replace("\r\n", "\n")
    data, positions = _parsed(text, file)
    context: dict[str, Any] = {FOLDER: file.absolute().parent}
    try:
        recipe = Recipe.model_validate(data, context=context)
    except ValidationError as error:
        found = problems_of(_with_misfits(error, data, context), data, positions, Recipe)
        raise _error(found, file) from None  # pydantic's own text would show values that may be secret
    return LoadedRecipe(recipe, hashlib.sha256(content).hexdigest(), file)


def _decoded(content: bytes, file: Path) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _error([Problem(Position(1, 1), "", "the file is UTF-16, expected UTF-8")], file)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        text = f"the byte 0x{content[error.start]:02X} is not UTF-8; expected a file that is saved as UTF-8"
        raise _error([Problem(position, "", text)], file) from error


def _parsed(text: str, file: Path) -> tuple[Any, dict[KeyPath, Position]]:
    try:
        data, positions = _frozen(tomllib.loads(text)), key_positions(text)
        too_large = [Problem(positions[path], "", _TOO_LARGE) for path in _large_numbers(data)]
        if not too_large:
            return data, positions
        raise _error(sorted(too_large, key=lambda problem: problem.position), file)
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_problem(str(error), text)
    except RecursionError:
        problem = Problem(Position(1, 1), "", "lists or tables are nested too deeply")
    except ValueError:  # a number that Python refuses to read because of its length
        problem = Problem(Position(1, 1), "", _TOO_LARGE)
    raise _error([problem], file)


def _syntax_problem(message: str, text: str) -> Problem:
    """What the parser says, with the place that its message ends in moved to where it belongs."""
    found = _PLACE_IN_MESSAGE.search(message)
    what = message[: found.start()] if found else message
    if found and found[1]:
        position = Position(int(found[1]), int(found[2]))
    else:
        lines = text.split("\n")
        position = Position(len(lines), len(lines[-1]) + 1)
    return Problem(position, "", f"this is not TOML: {what[:1].lower()}{what[1:]}")


def _frozen(value: Any) -> Any:
    """A value of a TOML file with tuples in place of lists, as the records have them."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _large_numbers(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Where whole numbers are that TOML does not have: of more than 64 bits, which tomllib reads all the same."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield path
    elif isinstance(value, (dict, tuple)):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _large_numbers(item, (*path, step))


def _with_misfits(error: ValidationError, data: Any, context: dict[str, Any]) -> list[Mapping[str, Any]]:
    """The errors, and what does not go together among those tables that are right by themselves.

    pydantic compares tables only after all of them are right; a user is to see everything at once.
    """
    errors: list[Mapping[str, Any]] = [dict(one) for one in error.errors(include_url=False)]
    if any(one["loc"] == () for one in errors):  # pydantic has compared them
        return errors
    cameras, _ = _valid(_CAMERA, data.get("camera"), context)
    sinks, has_all_sinks = _valid(_SINK, data.get("sink", ()), context)
    misfits = list(misfits_between(cameras, sinks, has_control="control" in data, has_all_sinks=has_all_sinks))
    if misfits:
        errors.append({"type": "value_error", "loc": (), "msg": "", "ctx": {"error": MisfitError(misfits)}})
    return errors


def _valid(adapter: TypeAdapter[_T], items: Any, context: dict[str, Any]) -> tuple[dict[int, _T], bool]:
    """Those of the tables that are right by themselves, by their place, and whether that is all of them."""
    found: dict[int, _T] = {}
    if not isinstance(items, tuple):
        return found, False
    for place, item in enumerate(items):
        with suppress(ValidationError):
            found[place] = adapter.validate_python(item, context=context)
    return found, len(found) == len(items)


def _error(problems: Sequence[Problem], file: Path) -> RecipeError:
    listed = [f"  {problem.describe(str(file))}" for problem in problems[:_MAX_LISTED]]
    if len(problems) > _MAX_LISTED:
        listed.append(f"  and {len(problems) - _MAX_LISTED} more")
    count = "an error" if len(problems) == 1 else f"{len(problems)} errors"
    return RecipeError(
        "\n".join([f"The recipe {file} has {count}:", *listed]),
        expected="keys and values as docs/reference/recipe.md has them",
        hint=f"Correct the file, then check it: edgerd run --recipe {quote(str(file))} --check",
    )
