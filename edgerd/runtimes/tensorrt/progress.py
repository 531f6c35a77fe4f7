"""How far a build is. This module does without TensorRT, so that what shows the progress does not import it."""

from __future__ import annotations

from dataclasses import dataclass

STOPPING = "stopping after this step"
"""The phase of a build once Ctrl-C was pressed."""


@dataclass(frozen=True)
class BuildProgress:
    """Where a build stands.

    Attributes:
        phase: TensorRT's name for what it is doing, or `STOPPING`.
        step: How many steps of the phase are done.
        n_steps: How many steps the phase has.
        elapsed_s: Seconds since the build began.
    """

    phase: str
    step: int
    n_steps: int
    elapsed_s: float
