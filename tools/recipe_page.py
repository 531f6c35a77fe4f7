"""Write docs/reference/recipe.md and recipe.schema.json beside it: `python tools/recipe_page.py`.

Both are made from the records in edgerd/recipe. A test fails where the two are not what this script writes.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edgerd.recipe.camera import Camera
from edgerd.recipe.product import Mask, Place, Product
from edgerd.recipe.recipe import Archive, AuditSettings, Control, Monitor, Outbox, Recipe
from edgerd.recipe.records import LIVE
from edgerd.recipe.sinks import JsonlRecord, ModbusRecord, MqttRecord, OpcUaRecord, WebhookRecord

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PAGE = REFERENCE / "recipe.md"
SCHEMA = REFERENCE / "recipe.schema.json"

TABLES: dict[str, type[BaseModel]] = {
    "[[camera]]": Camera,
    "[camera.products.NAME]": Product,
    "region": Place,
    "masks": Mask,
    '[[sink]] of type = "jsonl"': JsonlRecord,
    '[[sink]] of type = "webhook"': WebhookRecord,
    '[[sink]] of type = "mqtt"': MqttRecord,
    '[[sink]] of type = "modbus"': ModbusRecord,
    '[[sink]] of type = "opcua"': OpcUaRecord,
    "[archive]": Archive,
    "[outbox]": Outbox,
    "[monitor]": Monitor,
    "[control]": Control,
    "[audit]": AuditSettings,
}
"""How a table is written -> its record."""
_LIVE_TABLES = (Mask, JsonlRecord, WebhookRecord, MqttRecord)
"""Tables below a key that takes effect at once as a whole."""

INTRODUCTION = """\
# The recipe: `edgerd.toml`

A recipe says what a line does: its cameras with their bundles, thresholds and masks, where alerts go, what is kept. The
smallest one is

```toml
[[camera]]
uri = "0"
bundle = "bundles/nut"
```

`edgerd init` tries a camera and writes a recipe that explains itself. Every key is checked before anything is opened;
all errors are named at once, each with its line and column. Relative paths begin at the recipe's folder. The file is
TOML in UTF-8.

**Secrets** do not stand in a recipe. A key such as `password_env = "NAME"` names an environment variable,
`password_file = "FILE"` a file that holds the secret and nothing else. In the `uri` of a camera `{password}` stands
where the password belongs, in the `url` of a webhook `{token}`; special characters are encoded by themselves.

**Changes while the line runs.** The file is looked at each second. Keys that take effect *at once* are taken over
without losing a frame; all others wait for a restart, and the line says which. A sink may be added, changed or removed
at once, but for links to PLCs (`modbus`, `opcua`). An invalid recipe is reported, and the line goes on with the one
that it has. Cameras, products and sinks are known by their names: one with another name is another one.

**Several products.** A camera may have several products, each with a bundle of its own; their engines stay loaded, and
a change-over takes no restart. `default_product` says which one to begin with.

[recipe.schema.json](recipe.schema.json) has the same for editors. This page and the schema are written by
`tools/recipe_page.py`; a test compares.
"""


def page() -> str:
    """The text of docs/reference/recipe.md."""
    parts = [INTRODUCTION]
    for name, record in TABLES.items():
        parts += [f"## `{name}`", _prose(inspect.getdoc(record) or ""), _table(record)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def schema() -> str:
    """The text of docs/reference/recipe.schema.json."""
    content = Recipe.model_json_schema()
    for record in (*TABLES.values(), Recipe):
        properties = (content if record is Recipe else content["$defs"][record.__name__])["properties"]
        for name, field in record.model_fields.items():
            if text := _meaning(record, name):
                properties[field.alias or name]["description"] = text
    return json.dumps(content, indent=1) + "\n"


def _table(record: type[BaseModel]) -> str:
    rows = ["| key | value | default | takes effect | |", "|---|---|---|---|---|"]
    definitions = record.model_json_schema()
    for name, field in record.model_fields.items():
        effect = str(LIVE["takes_effect"]) if field.json_schema_extra == LIVE else "after a restart"
        if record in _LIVE_TABLES:
            effect = str(LIVE["takes_effect"])
        value = _kind(definitions["properties"][field.alias or name], definitions.get("$defs", {}))
        meaning = _prose(_meaning(record, name)).replace("|", "\\|")
        rows.append(f"| `{field.alias or name}` | {value} | {_default(name, field)} | {effect} | {meaning} |")
    return "\n".join(rows)


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if name == "name" or field.default is None or field.default is PydanticUndefined:
        return ""
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (str, Path)):
        return f'`"{value}"`'
    return "" if value == () else f"`{value:g}`"


def _kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a value is, in words."""
    if alternatives := schema.get("anyOf"):
        return _kind(next(one for one in alternatives if one.get("type") != "null"), definitions)
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return ", ".join(f'`"{one}"`' for one in schema["enum"])
    if "$ref" in schema or schema.get("type") == "object":
        return "table"
    if schema.get("type") == "array":
        return "list"
    if schema.get("type") in ("integer", "number"):
        return f"{'whole number' if schema['type'] == 'integer' else 'number'}{_range(schema)}"
    return {"boolean": "`true`, `false`", "string": "path" if schema.get("format") == "path" else "text"}[
        schema["type"]
    ]


def _range(schema: dict[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None or high is None:
        return ""
    above = "above " if "exclusiveMinimum" in schema else ""
    below = "below " if "exclusiveMaximum" in schema else ""
    return f", {above}{low:g} to {below}{_thousands(high)}"


def _thousands(number: float) -> str:
    return f"{number:,g}" if number < 1e6 else f"{number:,.0f}"


def _prose(text: str) -> str:
    return " ".join(text.split())


def _meaning(record: type[BaseModel], name: str) -> str:
    """The text that stands below a field of a record, or of one that it is made from."""
    for base in record.__mro__:
        if base is not BaseModel and issubclass(base, BaseModel) and name in typing.get_type_hints(base):
            texts = _texts(base)
            if name in texts:
                return _prose(texts[name])
    return ""


def _texts(record: type[BaseModel]) -> dict[str, str]:
    body = [item for one in ast.parse(inspect.getsource(record)).body for item in ast.iter_child_nodes(one)]
    texts: dict[str, str] = {}
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            texts[field.target.id] = str(below.value.value)
    return texts


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA.write_text(schema(), encoding="utf-8")
