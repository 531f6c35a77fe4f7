"""A gate report for tests that need an engine's record and not its gate."""

from __future__ import annotations

from edgerd.bundle.manifest import GateReport


def passed_gate(n_pictures: int = 8) -> GateReport:
    """A report of an engine that gives what FP32 gives."""
    return GateReport(
        n_pictures=n_pictures,
        max_map_error=0.0,
        mean_map_error=0.0,
        score_rank_correlation=1.0,
        verdicts_flipped=0,
        finite=True,
        passed=True,
    )
