"""A listener that remembers."""

from __future__ import annotations

from edgerd.building.assignment import Searched
from edgerd.building.candidates import Candidate, LeftOut
from edgerd.building.listener import BuildListener, BuildStep
from edgerd.building.sensitivity import Measured


class Heard(BuildListener):
    """Keeps all that it hears, in order.

    Attributes:
        not_built: What was left out.
        measured: Runtime and measurement.
        searched: Searches that ended.
        built: Candidates.
        steps: Each step, and how many pictures of it were done.
    """

    def __init__(self) -> None:
        self.not_built: list[LeftOut] = []
        self.measured: list[tuple[str, Measured]] = []
        self.searched: list[Searched] = []
        self.built: list[Candidate] = []
        self.steps: list[tuple[BuildStep, int]] = []

    def step_begins(self, step: BuildStep) -> None:
        self.steps.append((step, 0))

    def picture_done(self) -> None:
        step, n_done = self.steps[-1]
        self.steps[-1] = step, n_done + 1

    def left_out(self, left_out: LeftOut) -> None:
        self.not_built.append(left_out)

    def assignment_measured(self, runtime: str, measured: Measured) -> None:
        self.measured.append((runtime, measured))

    def search_ended(self, searched: Searched) -> None:
        self.searched.append(searched)

    def candidate_built(self, candidate: Candidate) -> None:
        self.built.append(candidate)
