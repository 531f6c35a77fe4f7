"""Print what a search for precisions measured, as lines and as a table."""

from __future__ import annotations

from rich.table import Table

from edgerd.building.assignment import Searched
from edgerd.building.sensitivity import Measured
from edgerd.cli.console import print_table, say


def report_measured(runtime: str, measured: Measured) -> None:
    """Print a line for an engine that was measured."""
    verdict = "within budget" if measured.passed else f"over budget: {measured.failures[0]}"
    say(f"{runtime} int8, {_name(measured)}: {measured.relative_time:.2f} of all-INT8's time, {verdict}")


def print_search(searched: Searched) -> None:
    """Print what each block in high precision is worth on a runtime, and the choice."""
    found = searched.found
    table = Table(box=None, pad_edge=False)
    table.add_column("in high precision", overflow="fold")
    for heading in ("time", "score error", "map error", "AUROC drop"):
        table.add_column(heading, justify="right")
    table.add_column("")
    rows = [found.all_int8, *found.alone.values(), *found.combined]
    for row in dict.fromkeys(rows):
        mark = "chosen" if row == found.chosen else "" if row.passed else "over budget"
        drop = "-" if row.auroc_drop is None else f"{row.auroc_drop:+.4f}"
        table.add_row(
            _name(row), f"{row.relative_time:.2f}", f"{row.score_error:.1%}", f"{row.max_map_error:.4f}", drop, mark
        )
    print_table(table)
    if found.chosen is None:
        say(f"{searched.runtime}: no assignment is within budget, not even with every block in high precision.")
    else:
        say(f"{searched.runtime}: INT8 with {_name(found.chosen)} in high precision.")


def _name(measured: Measured) -> str:
    return ", ".join(measured.high_precision) or "no block"
