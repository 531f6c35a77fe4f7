"""What a build tells of itself while it runs. Needs no TensorRT, so that whoever shows it need not import it."""

from __future__ import annotations

from dataclasses import dataclass

STOPPING = "stopping after this step"
"""The phase of a build once Ctrl-C was pressed."""


@dataclass(frozen=True)
class BuildProgress:
    """Where a build stands.

    Attributes:
        phase: TensorRT's name for what it does, or `STOPPING`.
        step: Steps of it that are done.
        n_steps: Steps that it has.
        elapsed_s: Since the build began.
    """

    phase: str
    step: int
    n_steps: int
    elapsed_s: float
