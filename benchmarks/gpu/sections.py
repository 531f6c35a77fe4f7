"""A section of the check: what it found, whether the bars hold, or why it was not run."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgerd.errors import EdgerdError, MissingDependencyError

Row = dict[str, Any]


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
        """Whether it is reached."""
        return self.measured <= self.allowed if self.at_most else self.measured >= self.allowed

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        verdict = "holds" if self.holds else "MISSED"
        return f"{self.name}: {self.measured:.4g}, {bound} {self.allowed:.4g}: {verdict}"


@dataclass
class Section:
    """What one section says.

    Attributes:
        title: Of the section.
        status: "ran", "not run" or "failed".
        reason: Why it was not run, or how it failed.
        rows: A table; rows may have different keys.
        bars: Numbers to reach.
        notes: What else there is to say, a sentence each.
    """

    title: str
    status: str = "ran"
    reason: str = ""
    rows: list[Row] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Nothing failed, no bar was missed; not being run is not bad."""
        return self.status != "failed" and all(bar.holds for bar in self.bars)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        bars = [vars(bar) | {"holds": bar.holds} for bar in self.bars]
        return vars(self) | {"bars": bars}


class NotRunError(Exception):
    """A section has nothing to measure here; its text says why."""


def run_section(title: str, fill: Callable[[Section], None]) -> Section:
    """Run one section; what is missing, or fails, is written into it, so that the others are not lost.

    Args:
        title: Of the section.
        fill: Puts rows, bars and notes into it.
    """
    section = Section(title)
    try:
        fill(section)
    except (NotRunError, MissingDependencyError) as error:
        section.status, section.reason = "not run", _first_line(error)
    except EdgerdError as error:
        section.status, section.reason = "failed", str(error)
    except Exception as error:  # noqa: BLE001 -- the figures of the other sections are not to be lost
        traceback.print_exc()
        section.status, section.reason = "failed", f"{type(error).__name__}: {error}"
    return section


def _first_line(error: Exception) -> str:
    if isinstance(error, EdgerdError):
        return error.what + (f" Next: {error.hint}" if error.hint else "")
    return str(error)
