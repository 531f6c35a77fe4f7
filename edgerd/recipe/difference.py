"""What changed between two recipes, and which of it a line can take over while it runs.

The records say it themselves: a key that is marked `LIVE` takes effect at once, but for tables that are `opened_once`.
All others need a restart. Cameras and sinks are known by their names, whatever their order. Nothing here opens or reads
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from edgerd.recipe.recipe import Recipe
from edgerd.recipe.records import LIVE, RecipeRecord
from edgerd.redaction import without_secrets

_AT_ONCE: Final[str] = LIVE["takes_effect"]
_RESTART: Final = "after a restart"


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value is another.

    Attributes:
        key: Dotted, with cameras and sinks by name: "camera.left.threshold", "sink.mqtt.host".
        old: The value before, in JSON's types, without secrets; None where there was none.
        new: The value now; None where there is none any more.
        takes_effect: "at once" or "after a restart".
    """

    key: str
    old: Any
    new: Any
    takes_effect: str

    @property
    def is_live(self) -> bool:
        """Whether a running line can take it over."""
        return self.takes_effect == _AT_ONCE

    def to_json(self) -> dict[str, Any]:
        """The attributes, as the audit trail has them: there `setting` is the key, since a key may also be a secret."""
        return {"setting": self.key, "old": self.old, "new": self.new, "takes_effect": self.takes_effect}


@dataclass(frozen=True, slots=True)
class RecipeDifference:
    """What changed from one recipe to another.

    Attributes:
        changes: In the order of the keys; empty where both say the same.
        taken_over: The recipe that a line which runs the old one can go on with: the old one with every change that
            takes effect at once. It is the old one itself where there is none.
    """

    changes: tuple[Change, ...]
    taken_over: Recipe


def difference(old: Recipe, new: Recipe) -> RecipeDifference:
    """Compare two recipes.

    Args:
        old: What runs.
        new: What shall run.

    Returns:
        All that changed. Where the changes that take effect at once do not go together with those that do not (the
        sink is gone that a camera's trigger still needs), all of them need a restart.
    """
    changes = tuple(sorted(_changes("", old, new), key=lambda change: change.key))
    try:
        taken_over = _merged(old, new) if any(change.is_live for change in changes) else old
    except ValidationError:
        return RecipeDifference(tuple(Change(one.key, one.old, one.new, _RESTART) for one in changes), old)
    return RecipeDifference(changes, taken_over)


def _changes(prefix: str, old: RecipeRecord, new: RecipeRecord, *, live: bool = False) -> Iterator[Change]:
    """The changes between two tables of one kind.

    Args:
        prefix: Keys on the way to the tables.
        old: The one.
        new: The other.
        live: Whether the tables as a whole take effect at once.
    """
    for name, field in type(old).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        key = f"{prefix}{field.alias or name}"
        is_live = live or _takes_effect_at_once(field)
        pairs = _pairs(before, after)
        if pairs is None:
            yield Change(key, _plain(before), _plain(after), _when(is_live))
            continue
        for label, one, other in pairs:
            path = f"{key}.{label}" if label else key
            its_live = is_live and not (_is_opened_once(one) or _is_opened_once(other))
            if type(one) is type(other) and isinstance(one, RecipeRecord):
                yield from _changes(f"{path}.", one, other, live=its_live)
            else:
                yield Change(path, _plain(one), _plain(other), _when(its_live))


def _pairs(before: Any, after: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """Tables to compare one by one: of each its name, and what is there before and after; None for plain values."""
    if isinstance(before, RecipeRecord) and type(before) is type(after):
        return iter([("", before, after)])
    if not (_is_named(before) or _is_named(after)):
        return None
    olds, news = _by_name(before), _by_name(after)
    return ((name, olds.get(name), news.get(name)) for name in {**olds, **news} if olds.get(name) != news.get(name))


def _is_named(value: Any) -> bool:
    """Whether these are tables with names: cameras, sinks, products."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return isinstance(value, dict) or any(hasattr(item, "name") for item in items)


def _by_name(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {item.name: item for item in value}


def _takes_effect_at_once(field: FieldInfo) -> bool:
    return field.json_schema_extra == LIVE


def _when(is_live: bool) -> str:
    return _AT_ONCE if is_live else _RESTART


def _merged(old: Any, new: Any) -> Any:
    """The old table with the changes that take effect at once.

    Raises:
        ValidationError: They do not go together with what stays.
    """
    merged = {}
    for name, field in type(old).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            value = before
        elif _takes_effect_at_once(field):
            value = _with_what_stays(before, after)
        elif isinstance(before, RecipeRecord) and type(before) is type(after):
            value = _merged(before, after)
        elif _is_named(before) and _is_named(after):
            value = _merged_by_name(before, after)
        else:
            value = before
        merged[field.alias or name] = value
    return type(old).model_validate(merged)


def _with_what_stays(before: Any, after: Any) -> Any:
    """The new value, in which the tables that are opened once are the old ones."""
    tables = before if isinstance(before, tuple) else ()
    if not any(map(_is_opened_once, (*tables, *(after if isinstance(after, tuple) else ())))):
        return after
    kept = {table.name: table for table in before if _is_opened_once(table)}
    new = [table for table in after if not _is_opened_once(table) and table.name not in kept]
    changed = {table.name for table in after if _is_opened_once(table)}
    replaced = [table for table in before if table.name in changed and table.name not in kept]
    return (*new, *replaced, *kept.values())


def _is_opened_once(table: Any) -> bool:
    return isinstance(table, RecipeRecord) and table.opened_once


def _merged_by_name(before: Any, after: Any) -> Any:
    others = _by_name(after)
    merged = {
        name: _merged(item, others[name]) if type(others.get(name)) is type(item) else item
        for name, item in _by_name(before).items()
    }
    return merged if isinstance(before, dict) else tuple(merged.values())


def _plain(value: Any) -> Any:
    """A value in JSON's types, without secrets."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json", exclude_none=True))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, Path)):
        return without_secrets(str(value))
    return value
