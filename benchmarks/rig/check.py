"""One line of the table that the fault injection prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A bar, and what was measured against it.

    Attributes:
        fault: What was done to the line.
        injections: How many times.
        bar: What must hold.
        measured: What was found, in words and numbers.
        is_held: Whether the bar is held.
        of_the_machine: Whether it is about time or memory, which a busy machine alone can spoil; a test must not ask
            for it.
    """

    fault: str
    injections: int
    bar: str
    measured: str
    is_held: bool
    of_the_machine: bool = False

    def row(self) -> dict[str, Any]:
        """For a table."""
        return {
            "fault": self.fault,
            "injections": self.injections,
            "bar": self.bar,
            "measured": self.measured,
            "held": "yes" if self.is_held else "**NO**",
        }
