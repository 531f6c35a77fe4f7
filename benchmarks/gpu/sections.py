"""A section of the check: what it found, whether the bars hold, or why it was not run. Needs nothing but Python."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]

RUNNING, RAN, NOT_RUN, FAILED = "running", "ran", "not run", "failed"


@dataclass(frozen=True)
class Bar:
    """A number to reach.

    Attributes:
        name: What is measured.
        measured: In the unit that the name says.
        allowed: What it may be.
        at_most: False where it is to be at least that.
    """

    name: str
    measured: float
    allowed: float
    at_most: bool = True

    @property
    def holds(self) -> bool:
        """Whether it is reached; what is not a number reaches nothing."""
        return self.measured <= self.allowed if self.at_most else self.measured >= self.allowed

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        verdict = "holds" if self.holds else "MISSED"
        return f"{self.name}: {self.measured:.4g}, {bound} {self.allowed:.4g}: {verdict}"


@dataclass
class Section:
    """What one section, or one part of it, says.

    Attributes:
        title: Of the section.
        status: "running" until it ended, then "ran", "not run" or "failed".
        reason: Why it was not run, or how it failed.
        rows: A table; rows may have different keys.
        bars: Numbers to reach.
        notes: What else there is to say, a sentence each.
        facts: For the parts that come after it, and for the result's file.
        file: Where it is kept while it grows, so that a process that ends takes nothing along; None to keep nothing.
    """

    title: str
    status: str = RUNNING
    reason: str = ""
    rows: list[Row] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    file: Path | None = field(default=None, repr=False)

    @property
    def is_good(self) -> bool:
        """Nothing failed, no bar was missed; not being run is not bad."""
        return self.status in (RAN, NOT_RUN) and all(bar.holds for bar in self.bars)

    def add(self, row: Row) -> None:
        """Append a row and keep what there is so far."""
        self.rows.append(row)
        self.keep()

    def keep(self) -> None:
        """Write the file, whole or not at all."""
        if self.file:
            write_whole(self.file, json.dumps(self.to_json(), indent=2))

    def to_json(self) -> dict[str, Any]:
        """Plain values; numbers that JSON does not have become text."""
        bars = [vars(bar) | {"holds": bar.holds} for bar in self.bars]
        found: dict[str, Any] = _plain({k: v for k, v in vars(self).items() if k != "file"} | {"bars": bars})
        return found

    @classmethod
    def read(cls, file: Path) -> Section:
        """What `keep` wrote."""
        kept = json.loads(file.read_text())
        bars = [Bar(bar["name"], float(bar["measured"]), float(bar["allowed"]), bar["at_most"]) for bar in kept["bars"]]
        return cls(**kept | {"bars": bars}, file=file)


class NotRunError(Exception):
    """A section has nothing to measure here; its text says why."""


def merged(title: str, parts: list[Section]) -> Section:
    """Parts of one section as one: it failed if one did, and was not run if none was."""
    statuses = [part.status for part in parts]
    status = next((found for found in (FAILED, RUNNING, RAN) if found in statuses), NOT_RUN)
    reasons = list(dict.fromkeys(part.reason for part in parts if part.reason and part.status == status))
    others = [f"{part.status}: {part.reason}" for part in parts if part.reason and part.status != status]
    return Section(
        title,
        status,
        "; ".join(reasons),
        rows=[row for part in parts for row in part.rows],
        bars=[bar for part in parts for bar in part.bars],
        notes=list(dict.fromkeys([note for part in parts for note in part.notes] + others)),
    )


def write_whole(file: Path, text: str) -> None:
    """Replace a file by one that is complete."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text)
    fresh.replace(file)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
