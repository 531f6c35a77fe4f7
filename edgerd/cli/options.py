"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from edgerd.runtimes import RUNTIMES

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""What a runtime may have; which of them it has on this machine, `edgerd doctor` says."""

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))
runtime_option = click.option(
    "--runtime", type=click.Choice(list(RUNTIMES)), help="The engine's runtime; the bundle's default engine otherwise."
)
precision_option = click.option(
    "--precision", type=click.Choice(PRECISIONS), help="The engine's precision; the bundle's default engine otherwise."
)
threads_option = click.option(
    "--threads", type=click.IntRange(0), default=0, help="CPU threads for the engine; 0, the default, for all cores."
)
mode_option = click.option(
    "--mode",
    type=click.Choice(["latency", "throughput"]),
    default="latency",
    show_default=True,
    help="On a GPU: one frame at a time, or the next one's copy during this one's inference.",
)
slots_option = click.option(
    "--slots", type=click.IntRange(1), default=3, show_default=True, help="On a GPU: frames in pinned memory."
)
wait_option = click.option(
    "--wait",
    type=click.Choice(["blocking", "spinning"]),
    default="blocking",
    show_default=True,
    help="For the GPU: asleep, or spinning, which answers sooner and costs a core.",
)
json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here; - for stdout."
)
rate_option = click.option(
    "--false-alarm-rate",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of good parts that may be called NG.",
)
