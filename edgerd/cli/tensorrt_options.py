"""`edgerd build-engine`'s options for TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from edgerd.bundle.bundle import Bundle
from edgerd.errors import InputError
from edgerd.runtimes.tensorrt.options import BuildOptions, batches_from, refuse_impossible
from edgerd.runtimes.tensorrt.runtime import TensorRt

_OPTIONS = (
    click.option(
        "--workspace",
        metavar="MIB",
        type=click.IntRange(1),
        help="TensorRT: most scratch memory a layer may use, MiB.",
    ),
    click.option(
        "--opt-level", type=click.IntRange(0, 5), help="TensorRT: how hard to search for fast kernels; default: 3."
    ),
    click.option(
        "--profile", metavar="MIN:OPT:MAX", help="TensorRT: how many tiles in one run; default: those of a frame."
    ),
    click.option(
        "--hardware-compatible",
        is_flag=True,
        help="TensorRT: for every NVIDIA GPU from Ampere on, on the same platform; slower.",
    ),
    click.option("--version-compatible", is_flag=True, help="TensorRT: for later TensorRT versions too; slower."),
    click.option(
        "--strip",
        is_flag=True,
        help="TensorRT: leave the weights out of the engine file; they are read from the graph.",
    ),
    click.option(
        "--dla-core",
        type=click.IntRange(0),
        help="TensorRT: run what it can on this DLA core (fp16 or int8), the rest on the GPU.",
    ),
    click.option(
        "--timing-cache",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="TensorRT: keep kernel timings in this file, so that later builds are faster; default: in ~/.cache.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be built, and build nothing."),
    click.option(
        "--target",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="TensorRT: print what to run on the device that this TOML file describes, and build nothing.",
    ),
)


@dataclass(frozen=True)
class TensorRtChoice:
    """The options for TensorRT as they were typed.

    Attributes:
        options: What the builder is told.
        profile_given: Whether --profile was typed.
        timing_cache: The file of --timing-cache, or None.
        dry_run: Whether nothing is built, but what would be built is printed.
        target: The file of --target, or None.
    """

    options: BuildOptions
    profile_given: bool
    timing_cache: Path | None
    dry_run: bool
    target: Path | None

    def check(self, runtime: str) -> None:
        """Refuse options that would have no effect.

        Raises:
            InputError: They are for TensorRT, and another runtime is named.
        """
        typed = self.options.flags + (" --timing-cache" if self.timing_cache else "")
        typed += " --target" if self.target else ""
        if typed and runtime not in ("auto", TensorRt.name):
            raise InputError(
                f"{typed.strip().split()[0]} is for TensorRT, but --runtime {runtime} was given.",
                expected="--runtime tensorrt, or auto",
                hint="Leave one of the two out.",
            )

    def for_bundle(self, bundle: Bundle) -> TensorRtChoice:
        """Take all tiles of a frame in one run, where no profile was typed.

        Raises:
            InputError: The profile that was given has no run of so many tiles.
        """
        n_tiles = bundle.manifest.preprocess.n_tiles
        low, _, high = self.options.profile
        if self.profile_given and not low <= n_tiles <= high:
            raise InputError(
                f"--profile {low} to {high} has no run for a frame of this bundle, which is {n_tiles} tiles.",
                expected="MIN <= tiles of a frame <= MAX",
                hint=f"--profile {n_tiles}, or leave it out.",
            )
        if self.profile_given or n_tiles == 1:
            return self
        smallest = 1 if self.options.dla_core is None else n_tiles  # a DLA's batch is fixed
        return replace(self, options=self.options.model_copy(update={"profile": (smallest, n_tiles, n_tiles)}))


def tensorrt_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as the argument `tensorrt`, a `TensorRtChoice`."""

    @wraps(command)
    def with_choice(**arguments: Any) -> Any:
        profile = arguments.pop("profile")
        options = BuildOptions(
            profile=batches_from(profile) if profile else (1, 1, 1),
            workspace_mib=arguments.pop("workspace"),
            **{name: arguments.pop(name) for name in BuildOptions.model_fields if name in arguments},
        )
        refuse_impossible(options, arguments["precision"])
        hows = {name: arguments.pop(name) for name in ("timing_cache", "dry_run", "target")}
        return command(**arguments, tensorrt=TensorRtChoice(options, profile is not None, **hows))

    for option in reversed(_OPTIONS):
        option(with_choice)
    return with_choice
