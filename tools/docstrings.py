"""The parts of a docstring in Google's style as Markdown: its text, and tables of arguments and attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import griffe

ERRORS_PAGE = "exit-codes.md#the-errors-in-python"


def sections(docstring: griffe.Docstring | None) -> list[griffe.DocstringSection]:
    """A docstring, parsed; empty where there is none."""
    if docstring is None:
        return []
    return docstring.parse("google", warnings=False, returns_multiple_items=False, returns_named_value=False)


def attributes(docstring: griffe.Docstring) -> dict[str, str]:
    """Attribute -> what the docstring of its class says of it, in one line."""
    found = [part.value for part in sections(docstring) if part.kind is griffe.DocstringSectionKind.attributes]
    return {one.name: in_one_line(one.description) for part in found for one in part}


def as_markdown(documented: griffe.Class | griffe.Function | griffe.Attribute) -> Iterator[str]:
    """The docstring of a class, function or attribute, a paragraph or table at a time."""
    for part in sections(documented.docstring):
        match part.kind:
            case griffe.DocstringSectionKind.text:
                yield escaped(part.value)
            case griffe.DocstringSectionKind.parameters:
                yield _table("argument", part.value, with_default=True)
            case griffe.DocstringSectionKind.attributes:
                yield _table("attribute", part.value)
            case griffe.DocstringSectionKind.returns:
                yield f"**Returns** {in_one_line(_whole(part.value[0]))}"
            case griffe.DocstringSectionKind.raises:
                yield _raised(part.value)
            case _:
                raise ValueError(f"{documented.path}: nothing says how to show a section of kind {part.kind.value}.")


def type_words(annotation: object) -> str:
    """A type as a table shows it: alternatives with "or", since a bar would end the cell."""
    return "" if annotation is None else f"`{annotation}`".replace(" | ", "` or `")


def in_one_line(text: str) -> str:
    """A description as it fits a cell of a table."""
    return escaped(" ".join(text.split())).replace("|", "\\|")


def escaped(text: str) -> str:
    """Text in which what looks like a tag is shown as it is, but for code, where nothing is taken for one."""
    pieces = text.split("`")
    return "`".join(piece.replace("<", "&lt;") if index % 2 == 0 else piece for index, piece in enumerate(pieces))


def _table(noun: str, items: Iterable[griffe.DocstringParameter], *, with_default: bool = False) -> str:
    heads = [noun, "type", *(["default"] if with_default else []), "meaning"]
    rows = [heads, ["---"] * len(heads)]
    for item in items:
        default = "" if item.value is None else f"`{item.value}`"
        cells = [f"`{item.name}`", type_words(item.annotation), *([default] if with_default else [])]
        rows.append([*cells, in_one_line(item.description)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _raised(errors: Iterable[griffe.DocstringRaise]) -> str:
    lines = (f"- [`{error.annotation}`]({ERRORS_PAGE}): {in_one_line(error.description)}" for error in errors)
    return "\n".join(["**Raises**", "", *lines])


def _whole(returned: griffe.DocstringReturn) -> str:
    """What a docstring says of a result, which the parser splits at the first colon as if a type stood before it."""
    return returned.description
