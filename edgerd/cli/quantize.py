"""`edgerd quantize`: typed graphs for other machines, written on the workstation."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from edgerd.building.quantize import WrittenGraph, check_quantizable
from edgerd.building.quantize import quantize as quantize_bundle
from edgerd.bundle.bundle import Bundle
from edgerd.cli.build_progress import BuildDisplay, PrintedBuild
from edgerd.cli.console import print_table, say
from edgerd.cli.new_ranges import bundle_with_ranges, ranges_option, say_what_became_of_older_graphs
from edgerd.cli.options import bundle_argument
from edgerd.precision.preset import load_preset


@click.command()
@bundle_argument
@click.option("--preset", metavar="NAME|FILE", help="How ranges are chosen: a method or a TOML file; default: minmax.")
@ranges_option
def quantize(bundle: Path, preset: str | None, ranges: Path | None) -> None:
    """Write FP16 and INT8 graphs for TensorRT and for CPUs into BUNDLE.

    Run this on a workstation: it needs `edgerd[quantize]`. Devices build their engines from these graphs without
    it. The table shows how much each graph differs from FP32 on the held-out good pictures.
    """
    opened, chosen = Bundle.open(bundle), load_preset(preset) if preset else None
    if ranges:
        check_quantizable(opened)
        opened = bundle_with_ranges(opened, ranges, chosen)
    with BuildDisplay(announces=False) as display:
        done = quantize_bundle(opened, chosen, say, PrintedBuild(display))
    print_table(_table(done.graphs))
    say_what_became_of_older_graphs(opened, done.bundle)
    say("Copy the bundle to the device, and there: edgerd build-engine BUNDLE --runtime tensorrt")


def _table(graphs: tuple[WrittenGraph, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("graph", "MB", "lint hits", "max map error", "verdicts flipped"):
        table.add_column(heading, justify="left" if heading == "graph" else "right")
    for graph in graphs:
        flipped = f"{graph.n_flipped} of {graph.n_pictures}"
        table.add_row(graph.file, f"{graph.n_bytes / 1e6:.1f}", "0", f"{graph.max_map_error:.4f}", flipped)
    return table
