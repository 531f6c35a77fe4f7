"""Who hears what happens while engines are built: one object, whose methods say what has happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgerd.building.assignment import Searched
    from edgerd.building.candidates import Candidate, LeftOut
    from edgerd.building.sensitivity import Measured


@dataclass(frozen=True)
class BuildStep:
    """What a build is busy with.

    Attributes:
        what: In a few words: "building", "comparing with FP32".
        engine: Which engine it is done for, "openvino int8"; empty for what is done once for all of them.
        number: Which of the engines that is, from 1 on; 0 where they are not counted.
        n_engines: How many there are.
        n_pictures: On how many pictures it is done; 0 where it is not done picture by picture.
    """

    what: str
    engine: str = ""
    number: int = 0
    n_engines: int = 0
    n_pictures: int = 0

    @property
    def title(self) -> str:
        """The engine, and which one it is: "openvino int8 (2 of 5)"; empty where it is for all of them."""
        return f"{self.engine} ({self.number} of {self.n_engines})" if self.n_engines > 1 else self.engine

    def __str__(self) -> str:
        on = f" on {self.n_pictures} pictures" if self.n_pictures else ""
        return f"{': '.join(filter(None, (self.title, self.what)))}{on}"


class BuildListener:
    """Hears of each step of `edgerd.building.engine.build_engine`, and does nothing: override what you want to hear.

    All methods are called in the thread that builds, in the order in which things happen. What one raises ends the
    build, and the bundle stays as it was.
    """

    def step_begins(self, step: BuildStep) -> None:
        """The build has begun to do something that may take long."""

    def picture_done(self) -> None:
        """A picture of the step is done, where it is done picture by picture."""

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
