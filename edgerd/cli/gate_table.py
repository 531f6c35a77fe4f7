"""Print a gate report as a table."""

from __future__ import annotations

from rich.table import Table

from edgerd.bundle.manifest import GateCheck, GateReport
from edgerd.cli.console import print_table


def print_gate(gate: GateReport) -> None:
    """Print every check: what was measured, what is allowed, whether it passed."""
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "measured", "allowed", "result", ""):
        table.add_column(heading, justify="right" if heading == "measured" else "left", overflow="fold")
    for check in gate.checks:
        measured = "-" if check.measured is None else f"{check.measured:.4g}"
        allowed = "-" if check.allowed is None else f"{check.bound} {check.allowed:.4g}"
        table.add_row(check.name, measured, allowed, _result(check), check.note)
    print_table(table)


def _result(check: GateCheck) -> str:
    return {True: "passed", False: "[red]failed[/red]", None: "not judged"}[check.passed]
