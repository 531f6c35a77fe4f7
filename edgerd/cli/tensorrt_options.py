"""`edgerd build-engine`'s options for TensorRT, and what becomes of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from edgerd.building.candidates import RuntimeSource
from edgerd.building.engine import combinations
from edgerd.building.target import load_target, steps_for
from edgerd.building.typed_graph import typed_graph
from edgerd.bundle import Bundle
from edgerd.cli.console import say
from edgerd.errors import BundleError, InputError, MissingDependencyError
from edgerd.runtimes import load_runtime
from edgerd.runtimes.protocol import Runtime
from edgerd.runtimes.tensorrt.options import BuildOptions, batches_from, refuse_impossible
from edgerd.runtimes.tensorrt.runtime import TensorRt

if TYPE_CHECKING:
    from edgerd.runtimes.tensorrt.build import BuildProgress

_OPTIONS = (
    click.option("--workspace", metavar="MIB", type=click.IntRange(1), help="TensorRT: most memory for a layer."),
    click.option("--opt-level", type=click.IntRange(0, 5), help="TensorRT: how long to look for kernels; default: 3."),
    click.option("--profile", metavar="MIN:OPT:MAX", help="TensorRT: tiles in one run; default: those of a frame."),
    click.option("--hardware-compatible", is_flag=True, help="TensorRT: for every GPU from Ampere on; slower."),
    click.option("--version-compatible", is_flag=True, help="TensorRT: for later versions too; slower."),
    click.option("--strip", is_flag=True, help="TensorRT: an engine without weights, which it takes from the graph."),
    click.option("--dla-core", type=click.IntRange(0), help="TensorRT: what it can on this DLA core, fp16 or int8."),
    click.option(
        "--timing-cache", type=click.Path(path_type=Path), help="TensorRT: a file for timings; default: in ~/.cache."
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be built, and build nothing."),
    click.option(
        "--target",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="TensorRT: print what must run on the device that this TOML file describes, and build nothing.",
    ),
)


@dataclass(frozen=True)
class TensorRtChoice:
    """What was typed.

    Attributes:
        options: For the builder.
        profile_given: Whether the profile was.
        timing_cache: A file, or None.
        dry_run: Build nothing, say what would be.
        target: A device's file, or None.
    """

    options: BuildOptions
    profile_given: bool
    timing_cache: Path | None
    dry_run: bool
    target: Path | None

    def check(self, runtime: str) -> None:
        """Refuse options that nothing would come of.

        Raises:
            InputError: They are for TensorRT, and another runtime is named.
        """
        typed = self.options.flags + (" --timing-cache" if self.timing_cache else "")
        typed += " --target" if self.target else ""
        if typed and runtime not in ("auto", TensorRt.name):
            raise InputError(
                f"{typed.strip().split()[0]} is for TensorRT, and --runtime {runtime} was given.",
                expected="--runtime tensorrt, or auto",
                hint="Leave one of the two out.",
            )

    def for_bundle(self, bundle: Bundle) -> TensorRtChoice:
        """With all tiles of a frame in one run, where no profile was given."""
        n_tiles = bundle.manifest.preprocess.n_tiles
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


@contextmanager
def runtimes_for(choice: TensorRtChoice) -> Iterator[RuntimeSource]:
    """How runtimes are made while a build is shown: on a terminal with TensorRT's phase, its steps and the time."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    quiet, both = not console.is_terminal, sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, disable=quiet, redirect_stdout=both) as bar:
        tasks: list[Any] = []

        def show(progress: BuildProgress) -> None:
            if not tasks:
                tasks.append(bar.add_task(progress.phase))
            bar.update(tasks[0], description=progress.phase, total=progress.n_steps, completed=progress.step)

        def tell(line: str) -> None:
            while tasks:
                bar.remove_task(tasks.pop())
            say(line)

        def runtime_of(name: str) -> Runtime:
            if name != TensorRt.name:
                return load_runtime(name)
            return TensorRt(choice.options, timing_cache=choice.timing_cache, say=tell, on_progress=show)

        yield runtime_of


def print_dry_run(bundle: Bundle, runtime: str, precision: str, choice: TensorRtChoice) -> None:
    """Say what would be built.

    Raises:
        As `edgerd.building.engine.build_engine`.
    """
    with runtimes_for(choice) as runtime_of:
        for name, kind in combinations(runtime, precision, runtime_of):
            made = runtime_of(name)
            try:
                graph = typed_graph(bundle, kind, made.probe().int8_flavour)
            except (BundleError, MissingDependencyError) as error:
                if precision != "auto":
                    raise
                say(f"{name} {kind}: would be left out. {error.what}")
                continue
            origin = "which would be made" if graph.file in graph.new_files else "from the bundle"
            say(f"{name} {kind}: from {graph.file}, {origin}")
            for line in made.dry_run(graph.content, kind) if isinstance(made, TensorRt) else ():
                say(f"  {line}")
    say("Nothing was built.")


def print_target(bundle: Bundle, precision: str, choice: TensorRtChoice, file: Path) -> None:
    """Print what must run on another device.

    Raises:
        As `edgerd.building.target.steps_for`.
    """
    steps = steps_for(bundle, load_target(file), precision, choice.options)
    for line in steps.notes:
        say(line)
    say("Graphs in the bundle, ready to copy:")
    for name in steps.graphs:
        record = steps.bundle.manifest.files[name]
        say(f"  {name}  {record.n_bytes / 1e6:.1f} MB  sha256 {record.sha256[:16]}...")
    for heading, commands in (("Here:", steps.copy), ("On the device:", steps.there)):
        say(heading)
        for command in commands:
            say(f"  {command}")
