"""Where each key stands in a TOML text: line and column, which `tomllib` does not tell.

The text was read by `tomllib` before, so that it is known to be TOML. This scanner needs to find keys and the ends of
values, and nothing more.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, TypeAlias

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys of tables and the indices of arrays on the way to a value: `("camera", 0, "uri")`."""

_BLANK: Final = re.compile(r"(?:[ \t\n\r]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS: Final = (
    # The long ones first. Up to two quotation marks may stand before the three that end a long string.
    re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text.

    Attributes:
        line: Counted from 1.
        column: Counted from 1, in characters.
    """

    line: int
    column: int


def key_positions(text: str) -> dict[KeyPath, Position]:
    """Find every key of a TOML text.

    Args:
        text: TOML that `tomllib.loads` accepts, with line feeds alone as line ends.

    Returns:
        For each path the position of its key where it is written first; for an item of an array, the position of the
        value. A table that is named in headers only has the position of its name in the first of them.

    Raises:
        RecursionError: Arrays or tables are nested deeper than Python can follow.
    """
    scanner = _Scanner(text)
    scanner.scan()
    lines = _LineStarts(text)
    return {path: lines.position(offset) for path, offset in scanner.found.items()}


class _LineStarts:
    """Turns offsets into lines and columns; asked in any order."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1)


class _Scanner:
    """Walks through a text once and notes where keys and items of arrays begin.

    Attributes:
        found: Path -> offset in the text.
    """

    def __init__(self, text: str) -> None:
        self.found: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._n_tables: dict[KeyPath, int] = {}
        """How many `[[...]]` headers each array of tables has had so far."""

    def scan(self) -> None:
        """Read the whole text."""
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._key_and_value(table)
            self._skip(_BLANK)

    def _header(self) -> KeyPath:
        """Read `[a.b]` or `[[a.b]]`; returns the path of the table that it opens."""
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._dotted_key()
        self._at += 2 if is_array else 1
        path: KeyPath = ()
        for number, (key, offset) in enumerate(keys, start=1):
            path = (*path, key)
            self.found.setdefault(path, offset)
            if is_array and number == len(keys):
                self._n_tables[path] = self._n_tables.get(path, 0) + 1
            if path in self._n_tables:  # a header speaks of the newest table of an array
                path = (*path, self._n_tables[path] - 1)
                self.found.setdefault(path, offset)
        return path

    def _key_and_value(self, table: KeyPath) -> None:
        path = table
        for key, offset in self._dotted_key():
            path = (*path, key)
            self.found.setdefault(path, offset)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _dotted_key(self) -> list[tuple[str, int]]:
        """Read `a."b c".d`, up to what stands behind it; returns its parts, each with its offset."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            offset = self._at
            parts.append((self._key(), offset))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _key(self) -> str:
        """Read one part of a key, quoted or not."""
        begin = self._at
        bare = _BARE_KEY.match(self._text, begin)
        self._at = bare.end() if bare else self._end_of_string()
        raw = self._text[begin : self._at]
        return raw if bare else str(tomllib.loads(f"key = {raw}")["key"])

    def _value(self, path: KeyPath) -> None:
        first = self._text[self._at]
        if first in "\"'":
            self._at = self._end_of_string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_BLANK)
        index = 0
        while not self._text.startswith("]", self._at):
            item = (*path, index)
            self.found[item] = self._at
            self._value(item)
            self._after_item()
            index += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_BLANK)
        while not self._text.startswith("}", self._at):
            self._key_and_value(path)
            self._after_item()
        self._at += 1

    def _after_item(self) -> None:
        """Step over the comma behind an item, if there is one."""
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_BLANK)

    def _end_of_string(self) -> int:
        ends = (match.end() for pattern in _STRINGS if (match := pattern.match(self._text, self._at)))
        return next(ends)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
