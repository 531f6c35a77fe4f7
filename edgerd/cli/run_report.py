"""What `edgerd run` says at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.cli.console import counted, print_latencies, warn
from edgerd.cli.doubts import false_alarms_text
from edgerd.line.summary import RunSummary


def report(
    summaries: Sequence[RunSummary], say: Callable[[str], None], records: Sequence[ThresholdRecord | None]
) -> None:
    """Say for each camera what its frames have come to: counts, false alarms to be expected, latencies, warnings.

    Args:
        summaries: A summary per camera.
        say: Takes the lines.
        records: Per camera, how its threshold was found; None where false alarms cannot be told per minute.
    """
    for line in dict.fromkeys(line for summary in summaries for line in summary.warnings):
        warn(line)
    for summary, record in zip(summaries, records, strict=True):
        if len(summaries) > 1:
            say(f"{summary.camera}:")
            if summary.error:
                warn(f"{summary.camera}: {summary.error.what}")
        held_back = f" ({summary.held_back} NG held back by --confirm)" if summary.held_back else ""
        say(
            f"{counted(summary.frames, 'frame')} in {summary.elapsed_s:.1f} s: {summary.ok} OK, {summary.ng} NG, "
            f"{summary.no_decision} without a decision; {counted(summary.alerts, 'alert')}{held_back}, "
            f"{summary.dropped} dropped"
        )
        if record and summary.frames and summary.elapsed_s:
            say(false_alarms_text(record, summary.frames / summary.elapsed_s))
        print_latencies(say, summary, with_capture=True)


def summaries_json(summaries: Sequence[RunSummary]) -> dict[str, Any]:
    """What `--json` writes: the summary of the one camera, or those of several under `cameras`, in their order."""
    if len(summaries) == 1:
        return summaries[0].to_json()
    return {"cameras": [summary.to_json() for summary in summaries]}
