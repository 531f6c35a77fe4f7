"""Arguments and options that several commands have."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgerd.bundle.bundle import Bundle
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.runtimes import RUNTIMES

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""All precisions that there are; `edgerd doctor` says which of them a runtime has on this machine."""


class FiniteRange(click.FloatRange):
    """A finite number within bounds. click's own range lets NaN pass, since no comparison with it is true."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn what was typed into a number, or fail with a usage error."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


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
json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here; - for stdout."
)
rate_option = click.option(
    "--false-alarm-rate",
    type=FiniteRange(0.0, 1.0, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of good parts that may be called NG.",
)


def rate_for(context: click.Context, bundle: Bundle, false_alarm_rate: float) -> float:
    """The rate to calibrate a bundle for: the one that was typed, else the one that it was calibrated for before."""
    before = bundle.manifest.threshold
    is_typed = context.get_parameter_source("false_alarm_rate") is not ParameterSource.DEFAULT
    return false_alarm_rate if is_typed or before is None else before.false_alarm_rate


_DEVICE_OPTIONS = (
    click.option(
        "--mode",
        type=click.Choice(["latency", "throughput"]),
        default=DeviceOptions().mode,
        show_default=True,
        help="On a GPU: one frame at a time, or copy the next frame while this one is inspected.",
    ),
    click.option(
        "--slots",
        type=click.IntRange(1),
        default=DeviceOptions().slots,
        show_default=True,
        help="On a GPU: how many frames fit in pinned memory.",
    ),
    click.option(
        "--wait",
        type=click.Choice(["blocking", "spinning"]),
        default=DeviceOptions().wait,
        show_default=True,
        help="How to wait for the GPU: blocking sleeps, spinning answers sooner and costs a core.",
    ),
)


def device_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for a GPU to a command, which gets them as the argument `device`, a `DeviceOptions`."""

    @wraps(command)
    def with_device(**arguments: Any) -> Any:
        chosen = {name: arguments.pop(name) for name in ("mode", "slots", "wait")}
        return command(**arguments, device=DeviceOptions(**chosen))

    for option in reversed(_DEVICE_OPTIONS):
        option(with_device)
    return with_device
