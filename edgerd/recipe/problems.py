"""What is wrong with a recipe, in words: pydantic's findings with their places in the file."""

from __future__ import annotations

import datetime
import re
import reprlib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from edgerd.recipe.positions import KeyPath, Position
from edgerd.recipe.records import MisfitError
from edgerd.redaction import is_secret_name, without_secrets
from edgerd.tables import did_you_mean

_TYPES: Final = {
    "string_type": "text in quotation marks",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "is_instance_of": "a path in quotation marks",
    "finite_number": "a finite number",
}
"""pydantic's type of an error -> what was expected."""
_BOUNDS: Final = {
    "greater_than": ("gt", "a number above {}"),
    "greater_than_equal": ("ge", "a number from {} on"),
    "less_than": ("lt", "a number below {}"),
    "less_than_equal": ("le", "a number up to {}"),
    "too_short": ("min_length", "at least {} entries"),
    "too_long": ("max_length", "at most {} entries"),
}
"""pydantic's type of an error -> the name of the bound, and what was expected."""
_PATTERNS: Final = {
    "bundle_id": "8 to 64 digits 0 to 9 and a to f",
}
"""Keys whose values are checked by a pattern -> what was expected."""

_MAX_SHOWN_TEXT: Final = 1000
"""Longer text is not even searched for secrets."""
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a recipe.

    Attributes:
        position: Where it is.
        key: Which key, dotted: "camera[0].threshold"; empty for the file as a whole.
        text: What stands there, what was expected, and the nearest name where one is misspelt.
    """

    position: Position
    key: str
    text: str

    def describe(self, file: str) -> str:
        """One line, beginning with file, line and column in the form that editors jump to."""
        place = f"{file}:{self.position.line}:{self.position.column}: "
        return f"{place}{self.key + ': ' if self.key else ''}{self.text}"


def problems_of(
    errors: Sequence[Mapping[str, Any]], data: Any, positions: Mapping[KeyPath, Position], model: type[BaseModel]
) -> list[Problem]:
    """Say in words what pydantic found.

    Args:
        errors: As `ValidationError.errors()` gives them.
        data: What was validated.
        positions: Where its keys stand in the text.
        model: What it was validated as; for the names that it knows.

    Returns:
        The problems in the order of the file.
    """
    reader = _Reader(data, positions, model)
    found = {problem for error in errors for problem in reader.problems(error)}
    return sorted(found, key=lambda problem: (problem.position, problem.key, problem.text))


class _Reader:
    """Finds what an error speaks of: in the data, in the text, and among the names that are known."""

    def __init__(self, data: Any, positions: Mapping[KeyPath, Position], model: type[BaseModel]) -> None:
        self._data = data
        self._positions = positions
        self._model = model

    def problems(self, error: Mapping[str, Any]) -> Iterator[Problem]:
        """One, or several where a table has several conflicts."""
        path = self._path(error["loc"])
        if error["type"] == "too_short" and len(_at(self._data, path) or ()) >= error["ctx"]["min_length"]:
            return  # pydantic does not count the items that are wrong, and those have their own errors
        if error["type"] == "union_tag_invalid":
            path = (*path, "type")
        cause = error.get("ctx", {}).get("error")
        if not isinstance(cause, MisfitError):
            yield self._problem(path, self._text(path, error))
            return
        for misfit in cause.misfits:
            place = (*path, *misfit.key)
            yield self._problem(place, self._instead(place, misfit.expected))

    def _problem(self, path: KeyPath, text: str) -> Problem:
        return Problem(self._position(path), _dotted(path), text)

    def _position(self, path: KeyPath) -> Position:
        """Where the key is, or the nearest table around it."""
        known = (self._positions[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._positions)
        return next(known, Position(1, 1))

    def _path(self, loc: Sequence[str | int]) -> KeyPath:
        """The path in the data: pydantic's, without the steps that are names of alternatives."""
        path: KeyPath = ()
        here = self._data
        for step in loc:
            is_alternative = isinstance(here, dict) and here.get("type") == step and step not in here
            if is_alternative or step == "[key]":
                continue
            here = here[step] if _has(here, step) else None
            path = (*path, step)
        return path

    def _text(self, path: KeyPath, error: Mapping[str, Any]) -> str:
        kind, context = error["type"], error.get("ctx", {})
        if kind == "extra_forbidden":
            return self._unknown_key(path)
        if kind == "missing":
            return "it is missing"
        if kind == "union_tag_not_found":
            return 'type is missing: type = "NAME" says which kind it is'
        if kind == "union_tag_invalid":
            return self._choice(path, re.findall(r"'([^']*)'", context["expected_tags"]))
        if kind == "literal_error":
            return self._choice(path, re.findall(r"'([^']*)'", context["expected"]))
        if kind in _BOUNDS:
            bound, expected = _BOUNDS[kind]
            return self._instead(path, expected.format(context[bound]))
        if kind == "string_pattern_mismatch":
            return self._instead(path, _PATTERNS[str(path[-1])])
        # pydantic puts "Value error, " before the text of our own checks
        return self._instead(path, _TYPES.get(kind, error["msg"].removeprefix("Value error, ")))

    def _unknown_key(self, path: KeyPath) -> str:
        name = str(path[-1])
        known = _known_keys(self._model, path[:-1], self._data)
        if is_secret_name(name):
            stem = next((key.removesuffix("_env") for key in known if key.endswith("_env")), name)
            return (
                f'secrets do not stand in a recipe: {stem}_env = "NAME_OF_A_VARIABLE" or {stem}_file = "FILE" '
                "says where it is"
            )
        near = did_you_mean(name, known)
        return f"there is no such key here. {near or 'Known are ' + ', '.join(known)}".rstrip(".") + (
            "" if near else "."
        )

    def _choice(self, path: KeyPath, choices: Sequence[str]) -> str:
        value = _at(self._data, path)
        near = did_you_mean(value, choices) if isinstance(value, str) else None
        return self._instead(path, f"one of {', '.join(choices)}{'. ' + near if near else ''}")

    def _instead(self, path: KeyPath, expected: str) -> str:
        """What was expected, behind the value that stands there, if that may be shown."""
        value = _at(self._data, path)
        shown = "" if value is None or isinstance(value, dict) or not path else _shown(str(path[-1]), value)
        return f"{shown}expected {expected}"


def _has(here: Any, step: str | int) -> bool:
    if isinstance(here, dict):
        return step in here
    return isinstance(here, tuple) and isinstance(step, int) and 0 <= step < len(here)


def _at(data: Any, path: KeyPath) -> Any:
    for step in path:
        if not _has(data, step):
            return None
        data = data[step]
    return data


def _dotted(path: KeyPath) -> str:
    """A path as people write it: camera[0].products."two words".threshold."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", step) else _SHORT.repr(step)
            text += f".{name}" if text else name
    return text


def _shown(key: str, value: Any) -> str:
    """The value as it may be shown; nothing where the key is one that may hold a secret by mistake."""
    if key.endswith("_env") or is_secret_name(key):
        return ""
    if isinstance(value, bool):
        return f"{str(value).lower()} stands there, "
    if isinstance(value, str) and len(value) > _MAX_SHOWN_TEXT:
        return f"{len(value)} characters stand there, "
    if isinstance(value, (datetime.date, datetime.time)):
        return f"{value.isoformat()} stands there, "
    if isinstance(value, tuple) and _has_text(value):  # it may hold a secret, and cut short it would not be found
        return "a list stands there, "
    return f"{_SHORT.repr(without_secrets(value) if isinstance(value, str) else value)} stands there, "


def _has_text(value: Any) -> bool:
    return any(map(_has_text, value)) if isinstance(value, tuple) else isinstance(value, (str, dict))


def _known_keys(model: Any, path: KeyPath, data: Any) -> list[str]:
    """The keys of the table at a path, as the models have them."""
    here: Any = model
    for number, step in enumerate(path):
        here = _below(here, step, _at(data, path[: number + 1]))
    record = _record(here, _at(data, path))
    if record is None:
        return []
    return [field.alias or name for name, field in record.model_fields.items()]


def _below(annotation: Any, step: str | int, value: Any) -> Any:
    """The annotation of what a step leads to."""
    record = _record(annotation, value)
    if record is not None:
        return next((field.annotation for name, field in record.model_fields.items() if step in (field.alias, name)), 0)
    arguments = [item for item in typing.get_args(_plain(annotation)) if item is not Ellipsis]
    return arguments[-1] if arguments else None


def _record(annotation: Any, value: Any) -> type[BaseModel] | None:
    """The record that an annotation stands for; of several alternatives the one whose type the value has."""
    annotation = _plain(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) not in (types.UnionType, typing.Union):
        return None
    records = [item for item in map(_plain, typing.get_args(annotation)) if isinstance(item, type)]
    return next((item for item in records if issubclass(item, BaseModel) and _fits(item, value)), None)


def _fits(record: type[BaseModel], value: Any) -> bool:
    kind = record.model_fields.get("type")
    named = typing.get_args(kind.annotation) if kind else ()
    return not named or (isinstance(value, dict) and value.get("type") in named)


def _plain(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation
