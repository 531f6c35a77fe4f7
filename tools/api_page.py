"""Write docs/reference/api.md from the docstrings of the public names: `python -m tools.api_page`.

A test fails where the page is not what this script writes. griffe reads the source; nothing of edgerd is imported.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

from tools.docstrings import as_markdown, escaped, type_words

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "reference" / "api.md"

CHAPTERS = {
    "Judging pictures": ("Inspector", "Inspection", "Verdict", "DefectRegion", "Box", "Frame", "PixelFormat"),
    "From pictures to an engine": ("train", "export", "build_engine", "Bundle"),
    "What leaves a line": ("Alert",),
    "Errors": ("EdgerdError",),
}
"""Heading -> the public names below it."""

INTRODUCTION = """\
# Python

What `import edgerd` offers. [Use it from Python](../how-to/python.md) has examples; this page has every public name
with its arguments, shapes, units and errors. It is written by `tools/api_page.py` from the docstrings; a test compares.
"""


def page() -> str:
    """The text of docs/reference/api.md."""
    return "\n\n".join(part.strip() for part in (INTRODUCTION, *_parts())) + "\n"


def _parts() -> Iterator[str]:
    package = griffe.load("edgerd", search_paths=[REPOSITORY])
    for heading, names in CHAPTERS.items():
        yield f"## {heading}"
        for name in names:
            documented = package[name].final_target
            if documented.is_class:
                yield from _class(documented)
            else:
                yield from _function(documented, f"edgerd.{name}", level=3)


def _class(documented: griffe.Class) -> Iterator[str]:
    yield f"### `edgerd.{documented.name}`"
    yield from as_markdown(documented)
    members = [one for name, one in documented.members.items() if not name.startswith("_")]
    if values := [one for one in members if _is_value(one)]:
        yield _values(values)
    for member in members:
        if member.is_function:
            yield from _function(member, f"{documented.name}.{member.name}", level=4)
        elif "property" in member.labels:
            yield f"#### `{documented.name}.{member.name}`"
            yield f"A property: {type_words(member.annotation)}"
            yield from as_markdown(member)


def _function(documented: griffe.Function, name: str, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{name}`"
    decorator = "@classmethod\n" if "classmethod" in documented.labels else ""
    result = f" -> {documented.annotation}" if documented.annotation else ""
    yield (
        "```python\n"
        + _formatted(f"{decorator}def {documented.name}({', '.join(_arguments(documented))}){result}: ...")
        + "```"
    )
    yield from as_markdown(documented)


def _arguments(documented: griffe.Function) -> Iterator[str]:
    """The arguments as they stand in a signature, without types; those that go by name alone stand behind a star."""
    has_star = False
    for argument in documented.parameters:
        if argument.name in ("self", "cls"):
            continue
        if argument.kind is griffe.ParameterKind.keyword_only and not has_star:
            has_star = True
            yield "*"
        yield argument.name if argument.default is None else f"{argument.name}={argument.default}"


def _formatted(code: str) -> str:
    """The code as `make check` wants to find it, in Markdown too."""
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--stdin-filename", "signature.py", "-"]
    done = subprocess.run(command, cwd=REPOSITORY, input=code, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


def _is_value(member: griffe.Object | griffe.Alias) -> bool:
    """Whether this is a member of an enumeration."""
    return member.is_attribute and member.value is not None and member.annotation is None


def _values(members: list[griffe.Attribute]) -> str:
    rows = ["| member | value | meaning |", "|---|---|---|"]
    for one in members:
        meaning = escaped(" ".join(one.docstring.value.split())) if one.docstring else ""
        rows.append(f"| `{one.name}` | `{one.value}` | {meaning} |")
    return "\n".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
