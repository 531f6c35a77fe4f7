"""Who hears what happens while engines are built: one object, whose methods say what has happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgerd.building.assignment import Searched
    from edgerd.building.candidates import Candidate, LeftOut
    from edgerd.building.sensitivity import Measured


class BuildListener:
    """Hears of each step of `edgerd.building.engine.build_engine`, and does nothing: override what you want to hear.

    All methods are called in the thread that builds, in the order in which things happen. What one raises ends the
    build, and the bundle stays as it was.
    """

    def left_out(self, left_out: LeftOut) -> None:
        """A runtime and precision cannot be built here and are left out; others are still there."""

    def assignment_measured(self, runtime: str, measured: Measured) -> None:
        """The search on a runtime has measured one assignment of precisions, or found it in its log."""

    def search_ended(self, searched: Searched) -> None:
        """The search on a runtime has ended; no engine was built for the gate yet."""

    def candidate_built(self, candidate: Candidate) -> None:
        """An engine was built, compared with the FP32 graph, and timed."""


SILENT: Final = BuildListener()
"""Does nothing with what it hears."""
