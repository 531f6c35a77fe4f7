"""Print what thresholds would find and how many false alarms they would cost, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from edgerd.acceptance.defect_pictures import ScoredDefect
from edgerd.cli.console import print_table, say
from edgerd.evaluation.trade_offs import TradeOff


def print_trade_offs(rows: Sequence[TradeOff], defects: Sequence[ScoredDefect]) -> None:
    """Print a row per threshold, and the defects that the current one misses, lowest score first."""
    table = Table(box=None, pad_edge=False)
    for heading in ("false-alarm rate", "threshold", "found", "expected false alarms", ""):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for row in rows:
        record = row.threshold
        notes = [*(["the bundle's"] if row.is_current else []), *(["extrapolated"] if record.extrapolated else [])]
        table.add_row(
            f"{100 * record.false_alarm_rate:.3g} %",
            f"{record.value:.4f}",
            f"{row.n_found} of {len(defects)}",
            f"{row.false_alarms_per_1000:.3g} in 1000 good parts",
            ", ".join(notes),
        )
    say("Scores and thresholds are those of FP32:")
    print_table(table)
    current = next((row.threshold.value for row in rows if row.is_current), None)
    if current is None:
        return
    missed = sorted((one for one in defects if one.score <= current), key=lambda one: one.score)
    say(
        f"{len(missed)} of {len(defects)} missed at the bundle's threshold for FP32, {current:.4f}"
        + (":" if missed else ".")
    )
    for one in missed:
        say(f"  {one.score:.4f}  {one.path}")
